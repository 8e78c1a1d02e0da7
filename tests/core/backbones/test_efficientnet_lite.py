from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.backbones import efficientnet_lite
from core.backbones.catalogue import imagenet_class_names
from core.backbones.preprocessing import PREPROCESSING

PHOTOS = {
    ("skimage", "data/chelsea.png"): {"Egyptian cat", "tiger cat"},
    ("skimage", "data/coffee.png"): {"espresso"},
    ("skimage", "data/motorcycle_left.png"): {"moped"},
    ("sklearn", "datasets/images/flower.jpg"): {"daisy"},
}


@pytest.fixture(scope="module")
def model():
    return efficientnet_lite.build()


def photo(package, file):
    image = Image.open(Path(find_spec(package).origin).parent / file).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("where", "names"), PHOTOS.items(), ids=[file for _, file in PHOTOS])
def test_photographs_are_recognised(model, where, names):
    probabilities = model.predict_on_batch(PREPROCESSING["lite"](photo(*where)[None]))[0]
    assert imagenet_class_names()[probabilities.argmax()] in names
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)


def test_it_has_the_parameters_and_blocks_of_the_paper(model):
    assert model.count_params() == 4_694_024
    names = [layer.name for layer in model.layers]
    assert {f"block{i}_project_conv" for i in range(16)} <= set(names)
    assert [i for i in range(17) if f"block{i}_add" in names] == [2, 4, 6, 7, 9, 10, 12, 13, 14]
    assert names[0] == "image"
    assert names[1:4] == ["stem_conv", "stem_bn", "stem_activation"]
    assert names[-2:] == ["pool", "predictions"]


def test_without_top_and_with_open_size_it_gives_maps():
    headless = efficientnet_lite.build(None, input_shape=(None, None, 3), include_top=False)
    assert headless.output_shape == (None, None, None, 1280)
    assert headless(np.zeros((1, 64, 96, 3), np.float32)).shape == (1, 2, 3, 1280)
