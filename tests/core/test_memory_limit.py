"""A mosaic on a real worker that may have only so much memory."""

from __future__ import annotations

import keras
import pytest

from core.engine import Engine
from core.messages import ModelRef, RenderRequest

CONVOLUTIONS = 12


def narrow_model() -> keras.Model:
    """Many layers, none of them large: eight images of 200 pixels want half a gigabyte."""
    inputs = x = keras.Input((None, None, 3))
    for place in range(CONVOLUTIONS):
        x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name=f"conv{place}")(x)
    return keras.Model(inputs, x)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "batches"), [("8GB", (8,)), ("1500MB", (1, 2, 4))])
def test_a_worker_with_little_memory_draws_fewer_images_at_once(tmp_path, monkeypatch, limit, batches):
    """Be it that it knows its limit before, or that it has been ended for its memory and begins again."""
    path = tmp_path / "narrow.keras"
    narrow_model().save(path)
    monkeypatch.setenv("LAYERSCOPE_MEMORY", limit)
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    request = RenderRequest(ModelRef(str(path)), f"conv{CONVOLUTIONS - 1}", tuple(range(8)), steps=3)
    engine = Engine.start(warm_up=False)
    try:
        job = engine.submit("core.featurevis.mosaic:run", request, kind="render")
        mosaic = job.result(200)
    finally:
        engine.close()
    assert len(mosaic.scores) == 8 and mosaic.png
    print(f"attempt {job.snapshot().attempt}, {mosaic.batch} at a time")
    assert mosaic.batch in batches
