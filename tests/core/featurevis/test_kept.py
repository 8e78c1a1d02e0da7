"""What has been drawn once is found on disk by whoever asks for the same."""

import pytest

from core.featurevis import mosaic
from core.messages import ModelRef, RenderRequest
from tests.core.tiny import tiny_model


@pytest.fixture(autouse=True)
def keeping(monkeypatch):
    monkeypatch.delenv("LAYERSCOPE_DRAWINGS")


@pytest.fixture
def model(tmp_path) -> ModelRef:
    tiny_model(size=None).save(tmp_path / "tiny.keras")
    return ModelRef(str(tmp_path / "tiny.keras"))


def test_a_mosaic_is_drawn_once(model):
    request = RenderRequest(model, "conv2", (5, 0), size=40, steps=2)
    first, second = list(mosaic.run(request)), list(mosaic.run(request))
    assert len(first) > 1 and second == first[-1:]
    assert (second[0].picture, second[0].png) == (first[-1].picture, first[-1].png)
