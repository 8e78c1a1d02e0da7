"""Every cache of the pages: names, digests and frozen requests in, results out. All sessions share what is here."""

from __future__ import annotations

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import images, plots, samples
from core.engine import Engine
from core.messages import Photo, RenderRequest, digest_of

SHOWN_SIDE = 900  # pixels
SMALL = 150  # pixels a side, below which single ones are seen


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The one engine of this server; started by whoever comes first. It keeps recent results itself."""
    return Engine.start(is_here=_is_here)


def viewer() -> str | None:
    """The session that this script runs for, as the engine knows it; `None` where there is none."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else None


def _is_here(viewer: str) -> bool:
    """Whether the session still has a browser at its other end; from any thread."""
    return not runtime.exists() or bool(runtime.get_instance().is_active_session(viewer))


def uploaded_photo(data: bytes, name: str) -> Photo:
    """A checked photo from a person's file; raises `UserError` for what is refused."""
    return _decoded(digest_of(data), data, name)


@st.cache_resource(show_spinner=False, max_entries=64)
def _decoded(digest: str, _data: bytes, name: str) -> Photo:
    return images.photo(_data, name)


@st.cache_resource(show_spinner=False, max_entries=32)
def sample_photo(name: str) -> Photo:
    return samples.photograph(name)


def picture_of(photo: Photo) -> bytes:
    """The photo as a WebP picture to show on a page, no larger than that takes; the pixels of a small one as squares,
    which a browser would blur."""
    return _encoded(photo.digest, photo)


@st.cache_resource(show_spinner=False, max_entries=64)
def _encoded(digest: str, _photo: Photo) -> bytes:
    height, width = _photo.pixels.shape[:2]
    times = SHOWN_SIDE / max(height, width)
    if times < 1:
        size = max(1, round(height * times)), max(1, round(width * times))
        return images.encode_webp(images.resize(_photo.pixels, size))
    return images.encode_webp(plots.crisp(_photo.pixels) if max(height, width) < SMALL else _photo.pixels)


@st.cache_resource(show_spinner=False)
def training_jobs() -> dict[str, str]:
    """Which job trains which run: the run's name (as links say it) -> the job's id; a few words a run."""
    return {}


@st.cache_resource(show_spinner=False)
def having_open() -> dict[str, set[str]]:
    """Which sessions have a person's file open, by the path of its copy: it is not removed from under them."""
    return {}


@st.cache_resource(show_spinner=False)
def lesson() -> dict[str, RenderRequest]:
    """What is prepared for class, by the jobs' ids, the latest last; everybody sees it."""
    return {}
