"""A person's own network, from the file to the mosaic, in a real browser; and a file that would run code."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path

import keras
import pytest

from tests.core.tiny import with_seeded_weights

pytestmark = pytest.mark.timeout(420)

NAMES = ("zero", "one", "two", "three")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A network for grey photos of 28 × 28 that says nothing about itself; the same with a Lambda in it, which writes
    the third file when it is run."""
    folder = tmp_path_factory.mktemp("models")
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(8, 5, activation="relu", name="edges")(inputs)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D(4)(x))
    model = with_seeded_weights(keras.Model(inputs, keras.layers.Dense(len(NAMES), activation="softmax")(x)))
    model.save(folder / "digits.keras")
    canary = folder / "canary"
    (folder / "trap.keras").write_bytes(trap((folder / "digits.keras").read_bytes(), canary))
    return folder / "digits.keras", folder / "trap.keras", canary


def trap(data: bytes, canary: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                layer = config["config"]["layers"][1]
                layer["module"], layer["class_name"] = "os", "system"
                layer["config"] = {"command": f"touch {canary}"}
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return file.getvalue()


def give(visit, path: Path) -> None:
    """Through the button in the sidebar, as a person does."""
    page = visit.page
    page.get_by_role("button", name="Open a model file").click()
    field = page.locator(".st-key-explorer-model_file input[type=file]")
    field.wait_for(state="attached", timeout=20_000)
    field.set_input_files(path)
    time.sleep(0.5)
    visit.settled(120)
    page.keyboard.press("Escape")


def test_a_grey_network_is_asked_about_named_and_shown_and_a_trap_is_refused(server, visit, files):
    digits, hostile, canary = files
    page = visit.page
    visit.open(f"{server.url}/activation_explorer?photo=cat")
    visit.figure("grid")
    visit.settled()
    give(visit, digits)

    visit.see("What should its pixels be?", 120)
    pictures = page.locator(".st-key-question [data-testid=stImage] img")
    pictures.nth(2).wait_for(timeout=60_000)
    assert pictures.count() == 3
    assert pictures.evaluate_all("images => images.every(image => image.naturalWidth >= 100)")
    page.get_by_role("button", name="This one").nth(1).click()

    visit.see("What are its classes called?", 60)
    visit.settled()
    page.get_by_role("button", name="Give names").click()
    page.get_by_role("textbox", name="Names of the classes").first.fill("\n".join(NAMES))
    page.get_by_role("button", name="Use these names").first.click()
    page.locator(".st-key-question").wait_for(state="detached", timeout=60_000)
    visit.settled()
    said = page.get_by_text("The network says").inner_text()
    assert any(name in said for name in NAMES) and "class" not in said, said
    assert visit.figure("grid").locator(".heatmaplayer image").count() == 8

    give(visit, hostile)
    refusal = page.locator('[data-testid="stAlertContentError"]')
    refusal.wait_for(timeout=60_000)
    assert refusal.count() == 1 and "trap.keras is refused" in refusal.inner_text(), refusal.inner_text()
    assert not canary.exists()
    assert page.get_by_text("The network says").inner_text() == said
    assert visit.figure("grid").locator(".heatmaplayer image").count() == 8

    assert visit.problems == []
    assert server.complaints() == []


@pytest.mark.slow
def test_its_first_convolution_is_drawn(server, visit, files):
    page = visit.page
    visit.open(f"{server.url}/activation_explorer?photo=cat")
    visit.figure("grid")
    visit.settled()
    give(visit, files[0])
    visit.see("from the file digits.keras", 120)
    visit.settled()
    page.wait_for_url("**layer=edges**", timeout=30_000)
    page.get_by_role("button", name="What is this filter looking for?").click()
    page.get_by_role("heading", name="Filter Visualizer").wait_for(timeout=60_000)
    mosaic = visit.figure("mosaic", 240)
    visit.see("Save the mosaic", 240)
    assert mosaic.locator(".scatterlayer .point").count() == 8
    assert "from the file digits.keras" in page.locator('[data-testid="stSidebar"]').inner_text()
    assert visit.problems == []
    assert server.complaints() == []
