"""Every cache of the pages: names, digests and frozen requests in, results out. All sessions share what is here."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import images, plots, runs, samples, storage
from core.engine import Engine
from core.messages import Photo, RenderRequest, digest_of
from core.uploads import Uploads
from pages.shared import visitors

SHOWN_SIDE = 900  # pixels
SWEEP_SECONDS = 60  # between two looks for uploads that have had their time
SMALL = 150  # pixels a side, below which single ones are seen

log = logging.getLogger(__name__)


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The one engine of this server; started by whoever comes first. It keeps recent results itself."""
    return Engine.start(is_here=visitors.is_here)


def viewer() -> str | None:
    """The session that this script runs for, as the engine knows it; `None` where there is none."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else None


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
def uploads() -> Uploads:
    """Who has which uploaded file: it is not removed from under them, and not kept for ever after them."""
    kept = Uploads(visitors.is_here)
    threading.Thread(target=_sweep, args=(kept,), name="uploads", daemon=True).start()
    return kept


def _sweep(kept: Uploads) -> None:
    while True:
        for clean_up in (kept.sweep, storage.clean_up, runs.clean_up):
            try:
                clean_up()
            except Exception:
                log.exception("What is kept could not be looked through.")
        time.sleep(SWEEP_SECONDS)


def keep_upload(data: bytes, suffix: str) -> Path:
    """Keep what this session has brought; see `core.uploads`. Raises `UserError` where there is no room."""
    return uploads().keep(data, suffix, visitors.me())


@st.cache_resource(show_spinner=False)
def lesson() -> dict[str, RenderRequest]:
    """What is prepared for class, by the jobs' ids, the latest last; everybody sees it."""
    return {}
