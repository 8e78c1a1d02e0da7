"""What only a browser shows of a network that reads text: it is typed to, pointed at, and a click chooses a unit."""

from __future__ import annotations

from tests.text_model import saved, text_model


def test_a_text_network_is_opened_typed_to_and_its_units_are_clicked(server, visit, tmp_path):
    saved(text_model(), tmp_path)
    page = visit.page
    visit.open(f"{server.url}/activation_explorer")
    visit.settled(180)
    page.get_by_text("Open a model file").first.click()
    page.locator(".st-key-explorer-model_file input[type=file]").set_input_files(tmp_path / "moods.keras")
    text = page.locator(".st-key-explorer-text input")
    text.wait_for(timeout=120_000)
    page.keyboard.press("Escape")
    text.fill("the <b>zebra</b> was not good")
    text.press("Enter")
    visit.see("4 of 5 words")
    visit.figure("word_effects")
    assert page.locator("b", has_text="zebra").count() == 0  # letters, no markup
    assert page.get_by_text("<b>zebra</b>").first.is_visible()
    page.get_by_text("Layers", exact=True).click()
    heat = visit.figure("word_heatmap")
    visit.settled()
    words = [" ".join(each.split()) for each in heat.locator(".yaxislayer-above text, .ytick text").all_text_contents()]
    assert words[-2:] == ["was not", "not good"] or words[-3:-1] == ["was not", "not good"], words
    points = heat.locator(".scatterlayer .point")
    columns = len(heat.locator(".xtick text").all())
    last = points.nth(5 * columns - 1)  # "not good", in the last column
    last.scroll_into_view_if_needed()
    last.hover(force=True)
    heat.locator(".hoverlayer .hovertext").wait_for(timeout=10_000)
    said = heat.locator(".hoverlayer").text_content()
    assert said.startswith("not goodunit "), said
    unit = said.partition("unit ")[2].partition("value")[0]
    last.click(force=True)
    page.get_by_role("heading", name=f"Unit {unit}", exact=True).wait_for(timeout=30_000)
    visit.settled()
    assert f"channel={unit}" in page.url and "text=" in page.url
    visit.figure("word_curve")
    visit.check()
    assert server.complaints() == []
