"""What the Activation Explorer holds itself to: computing a layer, what a page weighs, from a choice to the picture."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from core import activations, plots, samples
from core.backbones import graph, loading
from core.messages import ActivationsRequest, ModelRef
from tests.benchmarks.painted import PAINTED
from tests.benchmarks.rows import Row, alternately

NETWORK = ModelRef("efficientnet_lite0")
EARLY, MIDDLE, LATE = "block1_expand_activation", "block6_add", "block15_project_bn"
LAYERS = (EARLY, MIDDLE, LATE)


def measure(full: bool) -> Iterator[Row]:
    """The Explorer's rows, one after the other."""
    yield from against_plain_keras(full)
    yield from first_look(full)
    yield from bytes_of_a_page(full)
    yield from to_the_picture(full)


def against_plain_keras(full: bool) -> Iterator[Row]:
    """The whole task (photo fitted, prepared, computed, copied) against the cheaper of Keras' two plain calls."""
    backbone, photo = loading.load(NETWORK), samples.photograph("cat")
    for layer in (*LAYERS, "predictions") if full else LAYERS:
        request = ActivationsRequest(NETWORK, photo, (layer,))
        model = graph.truncated(backbone, (layer,))
        pixels = backbone.preprocessing(activations.infer(request).seen[None])
        images = tf.constant(pixels)
        activations.infer(request)  # compiled from the second look on
        ours, predicted, called = alternately(
            60 if full else 30,
            lambda request=request: activations.infer(request),
            lambda model=model, pixels=pixels: model.predict_on_batch(pixels),
            lambda model=model, images=images: model(images, training=False)[0].numpy(),
        )
        words = f"{ours / min(predicted, called):.2f}× ({1000 * ours:.1f} ms)"
        yield Row(f"infer one layer, {layer}", "plain Keras on the truncated model", "≤ 1.3×", words)


def first_look(full: bool) -> Iterator[Row]:
    """The first time that anybody asks for a layer: layer by layer, against compiling and then running."""
    photo = samples.photograph("coffee")
    for layer in ("block2_project_bn", "block7_project_bn", "block14_project_bn"):
        backbone = loading.load(NETWORK)
        pixels = backbone.preprocessing(np.zeros((1, *backbone.input_size, 3), np.float32))
        start = time.perf_counter()
        activations.infer(ActivationsRequest(NETWORK, photo, (layer,)))
        first = time.perf_counter() - start
        start = time.perf_counter()
        activations._compile(graph.truncated(backbone, (layer,)), pixels.shape[1:3])(tf.constant(pixels))
        compiled = time.perf_counter() - start
        words = f"1/{compiled / first:.1f} ({1000 * first:.0f} ms)"
        yield Row(f"first look at a layer, {layer}", "compiling it and running it once", "≤ 1 s", words)


def bytes_of_a_page(full: bool) -> Iterator[Row]:
    photo, cases = samples.photograph("cat"), [(NETWORK, layer) for layer in ("stem_conv", EARLY, "block2_add", LATE)]
    cases += [(ModelRef("vgg16", None), "block1_conv2"), (ModelRef("xception", None), "block1_conv1_act")] * full
    for model, layer in cases:
        values = activations.infer(ActivationsRequest(model, photo, (layer,))).values[layer]
        height, width, count = values.shape
        largest = max(
            len(plots.channel_grid(plots.grid_of(values, range(min(count, plots.PAGE)), each=each)).to_json())
            for each in (False, True)
        )
        where = f"{model.name} {layer}, {min(count, plots.PAGE)} of {height} × {width}"
        yield Row(f"bytes of a page, {where}", "–", "≤ 1 MB", f"{largest / 1e6:.2f} MB")


def to_the_picture(full: bool) -> Iterator[Row]:
    """From a choice in the list of layers to its painted maps, in a real browser on the running app."""
    from tests.browser.conftest import FLAGS, find_browser, start_server, stop_server

    what, goal = "layer to its painted maps", "≤ 1.5 s"
    browser = find_browser()
    if browser is None:
        yield Row(what, "–", goal, "not measured: there is no Chromium or Chrome on this machine")
        return
    from playwright.sync_api import sync_playwright

    home = Path(tempfile.mkdtemp(prefix="layerscope_bench_"))
    before = os.environ.get("LAYERSCOPE_HOME")
    os.environ["LAYERSCOPE_HOME"] = str(home)
    server = start_server(home / "log.txt")
    try:
        with sync_playwright() as playwright:
            page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page()
            page.set_viewport_size({"width": 1366, "height": 768})
            page.goto(f"{server.url}/activation_explorer?layer=stem_conv")
            page.wait_for_function(PAINTED, arg="stem_conv", timeout=180_000)
            page.wait_for_timeout(3000)
            for layer in LAYERS:
                cold = _choose(page, layer)
                warm = []  # when its maps are among the engine's recent results
                for _ in range(5 if full else 3):
                    _choose(page, "stem_conv")
                    warm.append(_choose(page, layer))
                words = f"first {cold:.2f} s, then {statistics.median(warm):.2f} s"
                yield Row(f"{what}, {layer}", "–", goal, words)
    finally:
        stop_server(server)
        shutil.rmtree(home, ignore_errors=True)
        if before is None:
            del os.environ["LAYERSCOPE_HOME"]
        else:
            os.environ["LAYERSCOPE_HOME"] = before


def _choose(page, layer: str) -> float:
    """Seconds from the click on `layer` in the list to the browser having painted its maps."""
    page.evaluate("window.seenCells = document.querySelector('.st-key-grid .js-plotly-plot').data[0].z")
    box = page.locator('[class*="explorer-layer"] input').first
    box.click()
    box.fill(layer)
    option = page.get_by_role("option", name=layer, exact=True)
    option.first.wait_for(timeout=20_000)
    start = time.perf_counter()
    option.first.click()
    page.wait_for_function(PAINTED, arg=layer, timeout=120_000, polling="raf")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seconds = time.perf_counter() - start
    page.wait_for_timeout(500)
    return seconds


if __name__ == "__main__":
    for row in measure("--full" in sys.argv):
        print(f"{row.what} | {row.against} | {row.goal} | {row.found}", flush=True)
