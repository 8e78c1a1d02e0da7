"""Results: does the network look at the subject?"""

from __future__ import annotations

import json


def test_what_is_hidden_where_it_looks_and_what_that_means(app, trained):
    page = app("transfer_trainer", view="results", part="shortcuts", run=trained)
    words = page.words()
    assert "validation photos it recognises, when parts are hidden" in words
    assert "of its attention (Grad-CAM) lies on the border" in words
    assert "The border is a frame of 15 %" in words
    # Red and green are told by colour, which is everywhere; or too few photos are held back to say so.
    assert any(sentence in words for sentence in ("all over the photo", "too little", "goes by", "needs both"))
    table = json.loads(page.figure("hidden").proto.spec)["data"][0]
    assert table["x"] == ["whole photo", "middle only", "border only"] and len(table["text"]) == 3
    strip = json.loads(page.figure("border").proto.spec)["data"][0]
    assert len(strip["customdata"]) == 4  # of 24 photos a fifth, of each class alike
    pictures = page.at.get("image")
    assert len(pictures) == 3 + 4
    assert "whole photo: " in str(pictures[0].proto) and "middle only: " in str(pictures[1].proto)
