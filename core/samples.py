"""What comes with the app, so that no page is ever empty: photographs, and the data set Chessman.

The photographs lie inside the wheels of scikit-image and scikit-learn. Only their folders are looked up; neither
package is imported, since importing them takes seconds.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core import storage
from core.chessman import PIECES, draw
from core.errors import UserError
from core.images import encode_jpeg, photo
from core.messages import Photo, Progress

CHESSMAN_PER_CLASS = 60
CHESSMAN_VERSION = 1  # part of the folder's name: raise it whenever a picture changes


@dataclass(frozen=True)
class Sample:
    """A photograph that comes with the app: its short `name`, what a person reads, and whose it is."""

    name: str
    caption: str
    source: str


# The good ones to teach with come first; pages preselect the first of all. Names, authors and licences are those that
# scikit-image states in `skimage.data` and scikit-learn in the README.txt beside its pictures.
PHOTOGRAPHS: tuple[Sample, ...] = (
    Sample("cat", "Chelsea the cat", "Stefan van der Walt, CC0, with scikit-image"),
    Sample("coffee", "A cup of espresso", "Rachel Michetti, Pikolo Espresso Bar, CC0, with scikit-image"),
    Sample("daisy", "A flower in the garden", "flickr.com/photos/vultilion, CC BY 2.0, with scikit-learn"),
    Sample(
        "motorcycle", "A motorcycle in a garage", "Middlebury stereo benchmark 2014, Nešić et al., with scikit-image"
    ),
    Sample("temple", "The Summer Palace in Beijing", "flickr.com/photos/danielbuechele, CC BY 2.0, with scikit-learn"),
    Sample("rocket", "A Falcon 9 takes off", "SpaceX, public domain, with scikit-image"),
    Sample("astronaut", "The astronaut Eileen Collins", "NASA, public domain, with scikit-image"),
    Sample("photographer", "A photographer at work", "Lav Varshney, CC0, with scikit-image"),
    Sample("coins", "Greek coins from Pompeii", "Brooklyn Museum, no known restrictions, with scikit-image"),
    Sample("brick", "A brick wall", "CC0 Textures, CC0, with scikit-image"),
    Sample("grass", "Grass", "linolafett, CC0, with scikit-image"),
    Sample("gravel", "Gravel", "CC0 Textures, CC0, with scikit-image"),
    Sample("galaxies", "The Hubble eXtreme Deep Field", "NASA, public domain, with scikit-image"),
    Sample("tissue", "Stained tissue under the microscope", "CMMI, no known restrictions, with scikit-image"),
)

_FILES = {
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "daisy": ("sklearn", "datasets/images/flower.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "photographer": ("skimage", "data/camera.png"),
    "coins": ("skimage", "data/coins.png"),
    "brick": ("skimage", "data/brick.png"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "tissue": ("skimage", "data/ihc.png"),
}
_WHEELS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


@functools.lru_cache(maxsize=16)
def photograph(name: str) -> Photo:
    """The sample photograph `name` (one of those in `PHOTOGRAPHS`), as `core.images.photo` gives it.

    Raises `UserError` for an unknown name, and where the package that brings the photograph is missing.
    """
    if name not in _FILES:
        raise UserError(f"There is no sample photograph named {name!r}. There are: {', '.join(_FILES)}.")
    package, inside = _FILES[name]
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / inside if spec is not None and spec.origin is not None else None
    if path is None or not path.is_file():
        wheel = _WHEELS[package]
        raise UserError(f"The sample photograph {name!r} comes with {wheel}, which is missing: pip install {wheel}.")
    return photo(path.read_bytes(), path.name)


def chessman(report: Callable[[Progress], None] | None = None) -> Path:
    """The folder of the data set Chessman: one folder for each of six pieces, each with 60 JPEG pictures.

    The pictures are drawn the first time, in under a minute, and kept; `report` then hears of the progress. Where it
    raises, nothing is kept. Raises `UserError` where the disk takes no more.
    """
    place = storage.folder("samples") / f"chessman-{CHESSMAN_VERSION}"
    if _is_whole(place):
        return place
    beside = storage.beside(place)
    try:
        beside.mkdir(mode=0o700)
        _draw_all(beside, report)
        _put(beside, place)
    except OSError as error:
        raise UserError(
            f"The pictures of Chessman cannot be kept in {place.parent}: the disk is full or may not be written to. "
            "Make room there, or choose another folder with LAYERSCOPE_HOME."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place


def _pictures(place: Path) -> list[tuple[str, int, Path]]:
    names = [(piece, index) for piece in PIECES for index in range(CHESSMAN_PER_CLASS)]
    return [(piece, index, place / piece / f"{piece}_{index:02}.jpg") for piece, index in names]


def _is_whole(place: Path) -> bool:
    try:
        return all(path.stat().st_size > 0 for _, _, path in _pictures(place))
    except OSError:
        return False


def _draw_all(place: Path, report: Callable[[Progress], None] | None) -> None:
    pictures = _pictures(place)
    # NumPy lets go of Python's lock while it computes: two threads draw 1.7 times as fast as one.
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    try:
        for done, _ in enumerate(pool.map(_draw_one, pictures)):
            if report is not None:
                report(Progress(f"Drawing the chess pieces: {done} of {len(pictures)}", done / len(pictures)))
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_one(picture: tuple[str, int, Path]) -> None:
    piece, index, path = picture
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_jpeg(draw(piece, index), quality=78 + index * 7 % 17))


def _put(beside: Path, place: Path) -> None:
    """Rename the finished folder to its place; another process may have been quicker, and that is as good."""
    if place.exists() and not _is_whole(place):
        damaged = storage.beside(place)
        place.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    try:
        beside.rename(place)
    except OSError:
        if not _is_whole(place):
            raise
