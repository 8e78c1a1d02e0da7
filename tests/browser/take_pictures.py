"""Takes README's pictures from the running app: `python -m tests.browser.take_pictures`, or some of them by name."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_digits

from tests.browser.conftest import FLAGS, ROOT, find_browser, start_server, stop_server
from tests.text_model import CLASSES, text_model

# Where, what is waited for, and then one after the other: which button is pressed, and what is waited for after that.
PICTURES = {
    "activation_explorer": ("activation_explorer?photo=cat", "Channel"),
    "filter_visualizer": (
        "filter_visualizer?filter=11",
        "Save the mosaic",
        ("Draw it large", "to its own picture"),
    ),
    "transfer_trainer": (
        "transfer_trainer",
        "photos in 6 classes",
        ("Start training", "photos held back are recognised;"),
        ("See the results", "The surest first"),
    ),
    "own_network": ("activation_explorer?photo=cat", "Channel"),
    "text_network": (
        "activation_explorer?text=The+film+was+not+good",
        "Channel",
        ("Give names", "Names of the classes"),
        ("Use these names", "sad"),
        ("Layers", "Unit "),
    ),
}


def digits_model() -> keras.Model:
    """It reads digits of 28 × 28 pixels, grey, from 0 to 1, and its file says none of that."""
    digits = load_digits()
    photos = keras.ops.image.resize(digits.images[..., None].astype(np.float32) / 16, (28, 28))
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 5, activation="relu", name="edges"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 5, activation="relu", name="shapes"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(photos, digits.target, epochs=6, verbose=0)
    return model


# For some a person's file is opened first: its name, how it comes about, and what is waited for then.
FILES: dict[str, tuple[str, Callable[[], keras.Model], str]] = {
    "own_network": ("digits.keras", digits_model, "What should its pixels be?"),
    "text_network": ("moods.keras", text_model, "What are its classes called?"),
}


def take(page, url: str, wait_for: str, *steps: tuple[str, str], file: tuple[Path, str] | None = None) -> bytes:
    page.goto(url)
    page.get_by_text(wait_for).first.wait_for()
    if file is not None:
        open_file(page, *file)
    for press, then in steps:
        page.locator("button", has_text=press).first.click()
        page.get_by_text(then).first.wait_for()
        if then == "Names of the classes":
            page.get_by_role("textbox", name=then).first.fill("\n".join(CLASSES))
    page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")
    page.wait_for_timeout(3000)
    return page.screenshot()


def open_file(page, path: Path, wait_for: str) -> None:
    page.get_by_role("button", name="Open a model file").click()
    field = page.locator("[class*=model_file] input[type=file]")
    field.wait_for(state="attached")
    field.set_input_files(path)
    page.get_by_text(wait_for).first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("heading").first.click()  # away from the button


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = start_server(Path(folder) / "log.txt")
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.set_default_timeout(240_000)
            for name in sys.argv[1:] or PICTURES:
                address, *what = PICTURES[name]
                file = saved(name, Path(folder)) if name in FILES else None
                shot = take(page, f"{server.url}/{address}", *what, file=file)
                picture = Image.open(io.BytesIO(shot)).convert("RGB")
                picture.save(ROOT / "docs" / f"{name}.webp", quality=88, method=6)
        finally:
            browser.close()
            stop_server(server)


def saved(name: str, folder: Path) -> tuple[Path, str]:
    file, make, wait_for = FILES[name]
    make().save(folder / file)
    return folder / file, wait_for


if __name__ == "__main__":
    main()
