"""A mosaic, and a person's large network, on a real worker that may have only so much memory."""

from __future__ import annotations

import keras
import pytest

from core import device
from core.backbones import loading
from core.backbones.limits import NoRoom
from core.engine import OPENING_SECONDS, Engine
from core.errors import UserError
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


DESCRIBE = "core.backbones.loading:describe"


def heavy_model(megabytes: int) -> keras.Model:
    """A true network, nearly all of it in one matrix."""
    side = int((megabytes * 1e6 / 4) ** 0.5)
    x = keras.layers.GlobalAveragePooling2D()(inputs := keras.Input((16, 16, 3)))
    for units in (side // 3, 3 * side, 4):
        x = keras.layers.Dense(units, kernel_initializer="ones")(x)
    return keras.Model(inputs, x)


@pytest.mark.slow
def test_a_network_too_large_for_a_worker_is_refused_before_it_ends_it_and_others_go_on(tmp_path, monkeypatch):
    path = tmp_path / "heavy.keras"
    heavy_model(600).save(path)
    monkeypatch.setenv("LAYERSCOPE_MEMORY", "1500MB")
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    embedded = ModelRef("efficientnet_lite0")
    engine = Engine.start(warm_up=False)
    try:
        drawing = engine.submit(
            "core.featurevis.mosaic:run", RenderRequest(embedded, "stem_conv", (0, 1), size=64, steps=3), kind="render"
        )
        heavy = engine.submit(DESCRIBE, ModelRef(str(path)), kind="interactive", seconds=OPENING_SECONDS)
        other = engine.submit(DESCRIBE, embedded, kind="interactive")
        with pytest.raises(UserError, match=r"heavy.keras is too large for this machine now: .* 1\.8 GB"):
            heavy.result(100)
        assert other.result(100).layers and drawing.result(100).png
        assert [job.snapshot().attempt for job in (heavy, other, drawing)] == [1, 1, 1]
        # A network that somebody else looks at is not in the way for good: a fresh process is asked.
        with pytest.raises(UserError, match=r"heavy\.keras|more memory than there is"):
            engine.submit(DESCRIBE, ModelRef(str(path)), kind="interactive", seconds=OPENING_SECONDS).result(100)
        predict = engine.submit(DESCRIBE, ModelRef("efficientnet_lite0", None), kind="interactive")
        assert predict.result(100).layers
    finally:
        engine.close()


def test_without_room_for_a_network_a_fresh_process_is_asked_where_others_are_loaded(tmp_path, monkeypatch):
    path = tmp_path / "heavy.keras"
    heavy_model(1).save(path)
    loading._loaded.clear()
    monkeypatch.setattr(device, "free_bytes", lambda: 2.9e6)
    with pytest.raises(NoRoom, match=r"heavy.keras is too large .* takes 0\.0 GB"):
        loading.load(str(path))
    narrow_model().save(tmp_path / "narrow.keras")
    loading.load(str(tmp_path / "narrow.keras"))
    with pytest.raises(MemoryError):
        loading.load(str(path))
    monkeypatch.setattr(device, "free_bytes", lambda: 3.2e6)
    assert loading.load(str(path)).info().parameters > 200_000
