"""Where the photos come from: with the app, a ZIP, a folder, what a class shares, or collected class by class.

Whatever a person brings becomes one ZIP on this machine, so that one reader reads all of it. It stays chosen when the
page is left and the widget that took it forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from core import archives, shared_data
from core.errors import UserError
from pages.shared import links
from pages.shared.controls import show_error
from pages.shared.resources import keep_upload
from pages.shared.words import in_markdown, label
from pages.trainer import collecting
from pages.trainer.common import PAGE, key

SOURCES = {
    "chessman": "Chess pieces (come with the app)",
    "zip": "My photos (ZIP)",
    "folder": "My folder",
    "collect": "Class by class",
}
SHARED = {"shared": "Photos of this class"}
TYPES = ["jpg", "jpeg", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"]
MOST_BYTES = 400 * 1000**2  # of one person's folder: all of it is in memory while it is packed


@dataclass(frozen=True)
class Kept:
    """A person's photos as a ZIP on this machine. `files` are the ids of what was uploaded."""

    files: tuple[str, ...]
    path: str
    words: str


def sources() -> dict[str, str]:
    """Which there are; what the class shares only where there is a folder for it."""
    return SOURCES | SHARED if shared_data.root() is not None else SOURCES


def source_key() -> str:
    return links.restore(PAGE, "data", "chessman", allowed=sources())


def chosen() -> str:
    """`chessman`, or the path of a person's ZIP; "" while there is none. Draws nothing."""
    source = st.session_state[source_key()]
    if source == "chessman":
        return "chessman"
    if source == "collect":
        return collecting.chosen()
    if source == "shared":
        return _shared_path()
    kept = st.session_state.get(_place(source))
    return kept.path if kept is not None and Path(kept.path).is_file() else ""


def choose() -> None:
    """The widgets with which photos are chosen."""
    source = st.segmented_control(
        "Photos",
        list(sources()),
        format_func=sources().get,
        key=source_key(),
        persist_state="session",
        required=True,
        help="A data set of drawn chess pieces, or your own photos. Your photos stay on this machine.",
    )
    links.publish(PAGE, data=source)
    if source == "zip":
        bring_zip()
    elif source == "folder":
        bring_folder()
    elif source == "collect":
        collecting.show()
    if source == "shared":
        choose_shared()
    else:
        links.publish(PAGE, photos=None)


def choose_shared() -> None:
    """One of the folders and ZIPs that whoever started this server shares."""
    names = shared_data.names()
    wanted = st.query_params.get("photos")
    if wanted and wanted not in names:
        show_error(UserError(shared_data.NOT_SHARED))
    if not names:
        st.info("Nothing is shared yet.", icon=":material/folder_off:")
        return
    name = st.selectbox(
        "Which photos",
        names,
        format_func=label,
        key=links.restore(PAGE, "photos", names[0], allowed=names),
        persist_state="session",
        help="What your teacher has put on this server for everybody.",
    )
    links.publish(PAGE, photos=name)


def _shared_path() -> str:
    name = st.session_state.get(links.restore(PAGE, "photos", "", allowed=["", *shared_data.names()]))
    try:
        return str(shared_data.find(name)) if name else ""
    except UserError:  # it has gone meanwhile
        return ""


def bring_zip() -> None:
    file = st.file_uploader(
        "A ZIP with one folder for each class",
        type=["zip"],
        key=key("zip"),
        help="For example cats/ and dogs/, each with at least ten photos; train/, valid/ and test/ folders are "
        "understood. The photos stay on this machine.",
        on_change=_forget,
        args=("zip",),
    )
    _keep(
        "zip",
        [] if file is None else [file],
        lambda files: files[0].getvalue(),
        "Put the photos of each class into a folder of its own, and all the folders into one ZIP. "
        "The name of the folder becomes the name of the class.",
    )


def bring_folder() -> None:
    files = st.file_uploader(
        "A folder with one folder for each class",
        TYPES,
        accept_multiple_files="directory",
        key=key("folder"),
        help="For example pets/ with cats/ and dogs/ in it; train/, valid/ and test/ folders are understood. The "
        "photos stay on this machine.",
        on_change=_forget,
        args=("folder",),
    )
    _keep(
        "folder",
        files,
        pack,
        "Choose the folder in which there is one folder for each class. "
        "The name of the folder becomes the name of the class.",
    )


def pack(files: Sequence[Any]) -> bytes:
    """The uploaded files of a folder as one ZIP. Raises `UserError` where they are too much."""
    size = sum(file.size for file in files)
    if size > MOST_BYTES:
        raise UserError(
            f"These photos have {size / 1e6:,.0f} MB together; at most {MOST_BYTES // 1000**2} can be taken at once. "
            "Choose fewer or smaller ones."
        )
    by_name = sorted(files, key=lambda file: file.name)
    return archives.pack((file.name, file.getvalue()) for file in by_name)


def _keep(source: str, files: Sequence[Any], data_of: Callable[[Sequence[Any]], bytes], invitation: str) -> None:
    """Keep what was uploaded, and say what is kept; or invite to bring something."""
    ids = tuple(file.file_id for file in files)
    kept = st.session_state.get(_place(source))
    if files and (kept is None or kept.files != ids):
        words = label(files[0].name) if source == "zip" else f"{len(files):,} files of a folder"
        try:
            kept = Kept(ids, str(keep_upload(data_of(files), ".zip")), words)
        except UserError as error:
            show_error(error)
            return
        st.session_state[_place(source)] = kept
    if kept is None:
        st.info(invitation, icon=":material/folder_zip:")
    elif not Path(kept.path).is_file():
        st.info("These photos are not on this machine any more. Bring them again.", icon=":material/folder_off:")
    elif not files:
        st.caption(f"Still chosen: {in_markdown(kept.words)}")


def _forget(source: str) -> None:
    """What is in the widget now takes the place of what was kept."""
    st.session_state.pop(_place(source), None)


def _place(source: str) -> str:
    return key(f"kept {source}")
