"""The Activation Explorer's part "One cell", control by control."""

from __future__ import annotations

import json
import re

import pytest


def spec(figure) -> dict:
    return json.loads(figure.proto.spec)


def plain(page) -> str:
    return page.words().replace("\\", "").replace("\u2060", "")


def chosen(page) -> tuple[int, int]:
    return page.widget("number_input", "explorer.y").value, page.widget("number_input", "explorer.x").value


def value(page) -> float:
    found = re.search(r"has the value \*\*([−\d.]+)\*\*", plain(page))
    return float(found[1].replace("−", "-"))


def agrees(page) -> None:
    """What was calculated is what the network says."""
    ours, own = re.search(r"Calculated here: (\S+).*own value: (\S+)", plain(page)).groups()
    assert ours[:5] == own[:5]


def test_a_deep_link_opens_the_cell_and_every_control_answers(app):
    page = app("activation_explorer", layer="block1_depthwise_conv", channel=44, part="cell", y=20, x=31)
    assert chosen(page) == (20, 31)
    assert "Row 20, column 31 has the value" in plain(page) and "11 × 11 pixels" in plain(page)
    assert "9 products of block1_expand_activation" in plain(page).replace("**", "")
    agrees(page)
    assert page.figure("cell_photo") and len(spec(page.figure("cell_tables"))["data"]) == 3
    # The numbers choose exactly.
    page.widget("number_input", "explorer.y").set_value(7)
    page.run()
    assert chosen(page) == (7, 31) and "7" in page.at.query_params["y"]
    # The strongest is farther from zero than where we were.
    before = value(page)
    page.widget("button", "cell_strongest").click()
    page.run()
    assert abs(value(page)) >= abs(before) and chosen(page) != (7, 31)
    agrees(page)
    # Another channel has its own strongest cell.
    page.at.session_state["explorer.channel"] = 16
    page.run()
    assert "Channel 16" in page.words()
    strongest = value(page)
    page.widget("button", "cell_strongest").click()
    page.run()
    assert value(page) == strongest
    # One layer back leads to the number that counted most, and from there back again.
    came_from = chosen(page)
    table = spec(page.figure("cell_tables"))
    assert len(table["data"]) == 3
    page.widget("button", "cell_back_0").click()
    page.run()
    assert page.widget("selectbox", "explorer.layer").value == "block1_expand_activation"
    assert "Channel 16" in page.words() and "x is block1_expand_bn, channel 16" in plain(page)
    agrees(page)
    page.widget("button", "cell_back_0").click()
    page.run()
    assert "x is block1_expand_conv, channel 16" in plain(page) and "√(variance + epsilon)" in plain(page)
    for layer in ("block1_expand_activation", "block1_depthwise_conv"):
        page.widget("button", "cell_forward").click()
        page.run()
        assert page.widget("selectbox", "explorer.layer").value == layer
    assert chosen(page) == came_from
    assert not any(button.key == "cell_forward" for button in page.at.button)


def test_another_input_channel_and_the_large_view(app):
    page = app("activation_explorer", layer="stem_conv", channel=3, part="cell")
    assert "27 products of the photo after preprocessing" in plain(page).replace("**", "")
    words = json.dumps(spec(page.figure("cell_parts")))
    assert all(colour in words for colour in ("red", "green", "blue"))
    (choice,) = [each for each in page.at.get("button_group") if each.key.startswith("cell_input_")]
    before = spec(page.figure("cell_tables"))["data"][1]
    choice.set_value(next(index for index in range(3) if index != choice.value))
    page.run()
    assert spec(page.figure("cell_tables"))["data"][1] != before
    page.widget("button", "cell_large").click()
    page.at.run()
    assert page.figure("large_photo") and page.figure("large_parts") and page.figure("large_tables")


@pytest.mark.parametrize(("layer", "said"), [("pool", "mean of 49 cells"), ("predictions", "1,280 products")])
def test_a_unit_needs_no_choice_of_cell(app, layer, said):
    page = app("activation_explorer", layer=layer, part="cell", y=3, x=4)
    assert said in plain(page) and "all of the photo" in plain(page)
    agrees(page)
    assert "y" not in page.at.query_params
    assert not any(each.key == "explorer.y" for each in page.at.number_input)
    page.widget("button", "cell_back_0").click()
    page.run()
    assert page.widget("selectbox", "explorer.layer").value == {"pool": "head_activation", "predictions": "pool"}[layer]
    agrees(page)


def test_nonsense_in_the_link_is_dropped(app):
    page = app("activation_explorer", layer="block6_add", channel=70, page=2, part="cell", y=14, x="left")
    assert all(0 <= index < 14 for index in chosen(page))
    assert "a + b" in plain(page) and "a is block5_project_bn, channel 70" in plain(page)
    agrees(page)
