"""Results: how much luck is in the split, and how many photos are enough."""

from __future__ import annotations

import json
import os

from core import runs
from core.transfer.requests import RepeatedRequest


def test_luck_and_the_learning_curve(app, trained):
    page = app("transfer_trainer", view="results", part="needed", run=trained)
    words = page.words()
    assert "On ten other splits it reaches" in words
    assert "All were tested on the same photos held back" in words
    luck = json.loads(page.figure("luck").proto.spec)["data"]
    assert any("your run" in str(trace.get("text")) for trace in luck)
    curve = json.loads(page.figure("needed").proto.spec)["layout"]
    assert curve["xaxis"]["ticktext"] == ["2", "5", "10"]

    # The run ends anew, and somebody stops what is then computed anew: it waits to be asked again.
    run = runs.find(trained)
    os.utime(run.folder / runs.REPORT)
    request = RepeatedRequest(str(run.folder), runs.ended(run.folder))
    page.engine.submit("core.transfer.repeating:run", request, kind="render").cancel()
    page.run()
    assert "Stopped" in page.words()
    page.widget("button", "again_luck").click()
    page.run()
    assert "Stopped" not in page.words() and page.figure("luck")
