"""The view Why: every control, and what it says where there is nothing to explain."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from core import samples
from core.messages import ModelRef, Why, WhyRequest
from pages.explorer.why_view import as_npz, as_png, verdict


def spec(figure) -> dict:
    return json.loads(figure.proto.spec)


def picture(page, key: str) -> str:
    return spec(page.figure(key))["layout"]["images"][0]["source"]


def scale(page, key: str) -> list[str]:
    return spec(page.figure(key))["data"][1]["marker"]["colorbar"]["ticktext"]


def jobs(page, task: str) -> int:
    return sum(job.task == task for job in page.engine.jobs())


@pytest.fixture
def why(app):
    return lambda **query: app("activation_explorer", view="why", **query)


def test_a_deep_link_opens_two_methods_for_one_class(why):
    page = why(photo="cat", **{"class": 282}, method="layercam", method2="saliency", cover=50)
    assert "tiger cat" in page.words() and "score" in page.words()
    assert page.widget("selectbox", "explorer.class").value == 282
    assert page.widget("selectbox", "explorer.method").value == "layercam"
    assert page.widget("selectbox", "explorer.method2").value == "saliency"
    assert page.widget("slider", "explorer.cover").value == 50
    assert page.figure("why") and page.figure("why2")
    assert "Beware" in page.words()
    assert scale(page, "why")[0] == "0" and scale(page, "why")[1].startswith("for it")
    assert page.at.query_params["class"] == "282" and page.at.query_params["method"] == "layercam"


def test_a_link_with_nonsense_begins_where_everybody_begins(why):
    page = why(photo="coffee", **{"class": "9999"}, method="magic", method2="saliency", maps="x", cover=1000)
    assert page.widget("selectbox", "explorer.class").value == 967
    assert page.widget("selectbox", "explorer.method").value == "gradcam"
    assert page.widget("slider", "explorer.cover").value == 80
    assert page.figure("why")


def test_every_control(why):
    page = why(photo="cat", layer="block10_add", method2="saliency")
    first = picture(page, "why")
    page.widget("radio", "explorer.class_of_the_best").set_value(282)
    page.run()
    assert page.widget("selectbox", "explorer.class").value == 282
    assert "*tiger cat*" in page.words()
    page.widget("selectbox", "explorer.class").set_value(0)
    page.run()
    assert "tench" in page.words() and "less than 0.1 %" in page.words()
    page.widget("selectbox", "explorer.class").set_value(285)
    page.run()
    assert picture(page, "why") == first
    page.widget("selectbox", "explorer.maps").set_value("layer")
    page.run()
    assert picture(page, "why") != first
    assert "block10\\_add" in page.words() and page.at.query_params["maps"] == "layer"
    page.widget("selectbox", "explorer.method").set_value("occlusion")
    page.run()
    assert scale(page, "why")[0].startswith("against") and "against it" in page.words()
    page.widget("selectbox", "explorer.method2").set_value("gradcampp")
    page.run()
    page.widget("selectbox", "explorer.maps2").set_value("layer")
    page.run()
    assert page.at.query_params["method2"] == "gradcampp"

    done = len(page.engine.jobs())
    before = picture(page, "why"), picture(page, "why2")
    page.widget("slider", "explorer.cover").set_value(0)
    page.run()
    assert before[0] != picture(page, "why") and before[1] != picture(page, "why2")
    assert picture(page, "why") == picture(page, "why2")  # nothing but the photo
    assert len(page.engine.jobs()) == done

    assert not page.at.metric
    page.widget("toggle", "explorer.hide").set_value(True)
    page.run()
    assert [metric.label for metric in page.at.metric] == ["without its 20 %", "without 20 % elsewhere"] * 2
    assert re.search(r"(falls|rises) by \d", page.words())
    assert jobs(page, "core.attribution:hide") >= 2


def test_the_same_method_on_both_sides_is_computed_once(why):
    page = why(photo="coffee", method="saliency", method2="saliency")
    assert picture(page, "why") == picture(page, "why2")


def test_what_is_saved_is_what_is_shown(why):
    page = why(photo="coffee", method2="saliency")
    assert {each.key for each in page.at.get("download_button")} >= {"save_png", "save_npz", "save_png2", "save_npz2"}


def test_another_photo_is_asked_about_its_own_class(why):
    page = why(photo="cat", **{"class": 282}, method2="saliency")
    page.widget("selectbox", "explorer.photo").set_value("coffee")
    page.run()
    assert page.widget("selectbox", "explorer.class").value == 967


def test_a_layer_without_maps_leaves_the_last_ones(why):
    page = why(photo="cat", layer="predictions", maps="layer", method2="saliency")
    assert page.widget("selectbox", "explorer.maps").options == ["on the last maps"]
    assert "head\\_activation" in page.words()


def test_an_untrained_network_is_explained_and_labelled(why):
    page = why(photo="cat", weights="random", method2="saliency")
    assert "untrained" in page.words() and not page.at.error
    assert page.figure("why") and page.figure("why2")


def test_a_stopped_map_is_kept_and_can_be_begun_again(why, engine):
    request = WhyRequest(ModelRef("efficientnet_lite0"), samples.photograph("daisy"), 985, "occlusion")
    job = engine.submit("core.attribution:explain", request, kind="interactive")
    while not isinstance(job.snapshot().latest, Why):
        job.wait(0.02)
    job.cancel()
    page = why(photo="daisy", **{"class": 985}, method="saliency", method2="occlusion")
    assert "Stopped" in page.words() and page.figure("why2")
    page.widget("button", "again2").click()
    page.run()
    assert "Stopped" not in page.words() and page.figure("why2")
    assert engine.find("core.attribution:explain", request).snapshot().state == "done"


def test_what_is_taken_home_is_what_is_shown():
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    heat = rng.normal(size=(64, 64)).astype(np.float32)
    found = Why("occlusion", 7, None, heat, True, seen, 1.5, 0.5, 1, 1)
    with np.load(io.BytesIO(as_npz(found))) as saved:
        np.testing.assert_array_equal(saved["heat"], heat)
        np.testing.assert_array_equal(saved["seen"], seen)
        assert saved["target"] == 7 and saved["score"] == 1.5
    assert Image.open(io.BytesIO(as_png(found, 0.8))).size == (672, 672)


@pytest.mark.parametrize(
    ("hidden", "elsewhere", "words"),
    [
        (5.3, 7.1, "falls by 3.7; elsewhere it falls by 1.9. It found what matters."),
        (8.0, 7.0, "falls by 1.0; elsewhere it falls by 2.0. **Not better than chance"),
        (9.2, 10.4, "rises by 0.2; elsewhere it rises by 1.4. **The class does not need"),
    ],
)
def test_only_a_score_that_falls_further_than_by_chance_speaks_for_a_map(hidden, elsewhere, words):
    assert words in verdict("cat", 9.0, hidden, elsewhere)
