"""The photographs and the data set that come with the app."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from core import samples
from core.errors import UserError
from core.samples import PHOTOGRAPHS, chessman, photograph


def test_the_cat_comes_first_and_names_are_unique():
    names = [sample.name for sample in PHOTOGRAPHS]
    assert names[0] == "cat"
    assert len(names) == len(set(names)) >= 10


@pytest.mark.parametrize("sample", PHOTOGRAPHS, ids=lambda sample: sample.name)
def test_every_photograph_is_there(sample):
    pixels = photograph(sample.name).pixels
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert min(pixels.shape[:2]) >= 200
    assert pixels.std() > 20
    assert sample.caption
    assert "with scikit-" in sample.source


def test_no_two_photographs_are_the_same():
    assert len({photograph(sample.name).digest for sample in PHOTOGRAPHS}) == len(PHOTOGRAPHS)


def test_an_unknown_photograph_is_named_with_what_there_is():
    with pytest.raises(UserError, match=r"'dog'.*cat"):
        photograph("dog")


def test_the_packages_that_bring_the_photographs_are_not_imported():
    code = (
        "import sys; from core.samples import PHOTOGRAPHS, photograph; "
        "[photograph(sample.name) for sample in PHOTOGRAPHS]; "
        "print([name for name in ('skimage', 'sklearn', 'scipy', 'tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A place of its own, and two pictures of each piece instead of sixty."""
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path))
    monkeypatch.setattr(samples, "CHESSMAN_PER_CLASS", 2)
    return tmp_path


def test_chessman_has_six_folders_of_jpegs_and_reports_its_progress(small):
    heard = []
    place = chessman(heard.append)
    assert sorted(path.name for path in place.iterdir()) == ["bishop", "king", "knight", "pawn", "queen", "rook"]
    pictures = sorted(place.glob("*/*.jpg"))
    assert len(pictures) == 12
    for path in pictures:
        with Image.open(path) as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (192, 192), "RGB")
    assert len({path.read_bytes() for path in pictures}) == 12
    fractions = [progress.fraction for progress in heard]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] < 1
    assert [path.name for path in place.parent.iterdir()] == [place.name]

    heard.clear()
    assert chessman(heard.append) == place
    assert heard == []


def test_an_interrupted_chessman_leaves_nothing_and_a_damaged_one_is_made_again(small):
    def stop(progress):
        if progress.fraction > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chessman(stop)
    assert list((small / "samples").iterdir()) == []

    place = chessman()
    whole = sorted((path.relative_to(place), path.read_bytes()) for path in place.glob("*/*"))
    (place / "king" / "king_01.jpg").unlink()
    assert chessman() == place
    assert sorted((path.relative_to(place), path.read_bytes()) for path in place.glob("*/*")) == whole
    assert [path.name for path in place.parent.iterdir()] == [place.name]
