"""The command `why`: its files and its refusals."""

import numpy as np
import pytest
from PIL import Image

from core import images
from tests.core.tiny import TINY_SIZE, tiny_model


@pytest.fixture
def core(core):
    """Run `why`: (exit status, stdout, the last line of stderr)."""

    def run(*arguments):
        status, out, err = core("why", *arguments)
        return status, out, (err.splitlines() or [""])[-1]

    return run


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("why")
    tiny_model().save(folder / "tiny.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (TINY_SIZE, TINY_SIZE, 3), dtype=np.uint8)
    (folder / "photo.png").write_bytes(images.encode_png(pixels))
    return "--model", folder / "tiny.keras", "--image", folder / "photo.png"


@pytest.mark.parametrize(("method", "more"), [("occlusion", ()), ("layercam", ("--layer", "conv1"))])
def test_the_map_is_saved_as_numbers_and_as_a_picture(core, given, tmp_path, method, more):
    status, out, _ = core(*given, "--class", 1, "--method", method, *more, "--out", tmp_path)
    said, numbers, picture = out.splitlines()
    assert status == 0 and said.startswith("class 1 (1): ")
    assert picture == str(tmp_path / f"why_photo_1_{method}.png")
    assert Image.open(picture).size == (672, 672)
    with np.load(numbers) as found:
        assert found["heat"].shape == (TINY_SIZE, TINY_SIZE) and np.ptp(found["heat"]) > 0
        assert found["seen"].dtype == np.uint8 and found["target"] == 1
        assert 0 < found["probability"] < 1


def test_without_a_class_it_is_the_most_probable_one(core, given, tmp_path):
    probabilities = []
    for more in ((), ("--class", 0), ("--class", 1), ("--class", 2)):
        status, out, _ = core(*given, *more, "--out", tmp_path)
        assert status == 0
        with np.load(out.splitlines()[1]) as found:
            probabilities.append(float(found["probability"]))
    assert probabilities[0] == pytest.approx(max(probabilities[1:]))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--method", "magic"), "gradcam"),
        (("--class", 3), "no class 3"),
        (("--layer", "nowhere"), "no layer named 'nowhere'"),
        (("--layer", "pool"), "gives no maps"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(core, given, tmp_path, more, words):
    status, out, sentence = core(*given, *more, "--out", tmp_path)
    assert (status, out) == (2, "") and words in sentence
