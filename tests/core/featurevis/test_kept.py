"""What has been drawn once is found on disk by whoever asks for the same."""

import numpy as np
import pytest

from core.featurevis import dream, faces, mosaic, portrait
from core.messages import DreamRequest, FacesRequest, ModelRef, Photo, PortraitRequest, RenderRequest
from tests.core.tiny import tiny_model


@pytest.fixture(autouse=True)
def keeping(monkeypatch):
    monkeypatch.delenv("LAYERSCOPE_DRAWINGS")


@pytest.fixture
def model(tmp_path) -> ModelRef:
    tiny_model(size=None).save(tmp_path / "tiny.keras")
    return ModelRef(str(tmp_path / "tiny.keras"))


PHOTO = Photo.of(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("draw", "request_"),
    [
        (mosaic.run, lambda model: RenderRequest(model, "conv2", (5, 0), size=40, steps=2)),
        (portrait.run, lambda model: PortraitRequest(model, "conv2", 5, size=64, steps=2)),
        (faces.run, lambda model: FacesRequest(model, "conv2", 5, faces=2, size=64, steps=2)),
        (dream.run, lambda model: DreamRequest(model, PHOTO, (("conv2", 1.0),), size=64, octaves=1, steps=2)),
    ],
)
def test_it_is_drawn_once(model, draw, request_):
    first, second = list(draw(request_(model))), list(draw(request_(model)))
    assert len(first) > 1 and second == first[-1:]
    assert (second[0].png, repr(second[0])) == (first[-1].png, repr(first[-1]))
