"""The photos that excite the chosen channel most: those that come with the app, or a person's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core import archives, plots, samples
from core.errors import UserError
from core.messages import Activations, Exciting, ExcitingRequest, Photo, Progress
from pages.explorer.common import Scene, ask, choose_one, key
from pages.shared import job_panel
from pages.shared.choices import show_figure
from pages.shared.controls import show_error
from pages.shared.resources import engine, keep_upload, uploaded_photo
from pages.shared.viewing import submit
from pages.shared.words import in_markdown, label

TASK = "core.exciting:rank"
SOURCES = {"samples": "Samples", "files": "My photos", "folder": "My folder"}
NAMES: tuple[str, ...] = ("photos",)
SHOWN = 6
TYPES = ["zip", "jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]
MOST_BYTES = 400 * 1000**2  # of one person's photos: all of them are in memory while they are packed


@dataclass(frozen=True)
class Kept:
    """A person's photos as a ZIP on this machine. `files` are the ids of what was uploaded."""

    files: tuple[str, ...]
    path: str
    words: str


def show(scene: Scene, channel: int, found: Activations) -> None:
    above = st.container()  # what one looks at comes first: a projector has few lines
    source = choose_one(
        "Which photos",
        "photos",
        SOURCES,
        "Those that come with the app, or your own: some photos, a ZIP of them, or a whole folder. "
        "Your photos stay on this machine.",
        label_visibility="collapsed",
    )
    kept = None if source == "samples" else own_photos(source)
    with above:
        if source == "samples":
            request = ExcitingRequest(scene.model, scene.layer.name)
            show_ranking(scene, channel, found, ask(TASK, request, "Looking at the samples", kind="study"), "samples")
        elif kept is None:
            st.caption("All of them are shown to the network once; then every channel knows its favourites.")
        else:
            show_own(scene, channel, found, ExcitingRequest(scene.model, scene.layer.name, kept.path))
    if kept is not None:
        st.caption(in_markdown(kept.words))


# --- A person's own photos -------------------------------------------------------------------------------------------


def own_photos(source: str) -> Kept | None:
    """What was brought, kept as one ZIP; it stays when the page is left and its widget forgets it."""
    place = key(f"kept_{source}")
    if source == "folder":
        words, many, help_text = "A folder of photos", "directory", "With all folders in it."
    else:
        words, many, help_text = "Photos, or one ZIP of them", True, "Up to a thousand are looked at."
    files = st.file_uploader(
        words,
        TYPES,
        accept_multiple_files=many,
        key=key(f"exciting_{source}"),
        help=f"{help_text} They stay on this machine.",
        on_change=lambda: st.session_state.pop(place, None),
    )
    ids = tuple(file.file_id for file in files)
    kept = st.session_state.get(place)
    if files and (kept is None or kept.files != ids):
        try:
            kept = keep(files, ids)
        except UserError as error:
            show_error(error)
            return None
        st.session_state[place] = kept
    return kept if kept is not None and Path(kept.path).is_file() else None


def keep(files: Sequence[Any], ids: tuple[str, ...]) -> Kept:
    """The uploaded `files` as one ZIP on this machine; equal photos make an equal ZIP, whoever brings them."""
    size = sum(file.size for file in files)
    if size > MOST_BYTES:
        raise UserError(
            f"These photos have {size / 1e6:,.0f} MB together; at most {MOST_BYTES // 1000**2} can be taken at once. "
            "Choose fewer or smaller ones."
        )
    if len(files) == 1 and files[0].getvalue()[:2] == b"PK":
        data, words = files[0].getvalue(), label(files[0].name)
    else:
        data, words = pack(files), f"{len(files)} file{'s' * (len(files) != 1)} of mine"
    return Kept(ids, str(keep_upload(data, ".zip")), words)


def pack(files: Sequence[Any]) -> bytes:
    """Uploaded files -> a ZIP; no name is there twice, and the same files make the same ZIP in any order."""
    by_name = sorted(files, key=lambda file: file.name)
    return archives.pack((file.name, file.getvalue()) for file in by_name)


def show_own(scene: Scene, channel: int, found: Activations, request: ExcitingRequest) -> None:
    """A long look: it waits its turn with the drawings, and the best so far are shown meanwhile."""
    job = engine().find(TASK, request) or submit(TASK, request, kind="render")
    ended = job.snapshot().state in ("cancelled", "failed")
    if ended and st.button("Look again", key="look_again", icon=":material/refresh:", help="Begins anew."):
        job = submit(TASK, request, kind="render")
    snapshot = job.snapshot()
    if not snapshot.over:
        job_panel.watch(job, lambda so_far: draw_so_far(so_far, channel), progress_of=progress_of, stop="Stop")
        return
    job_panel.tell_how_it_ended(snapshot, "Stopped: some photos have not been looked at.")
    ranking = snapshot.result or snapshot.latest
    if isinstance(ranking, Exciting):
        show_ranking(scene, channel, found, ranking, request.photos)


def progress_of(so_far: Exciting) -> Progress:
    return Progress(f"{so_far.done:,} of {so_far.total:,} photos looked at", so_far.done / so_far.total)


def draw_so_far(so_far: Exciting | None, channel: int) -> None:
    if so_far is not None:
        show_photos(so_far, channel, "exciting_so_far")


# --- What excites it -------------------------------------------------------------------------------------------------


def show_ranking(scene: Scene, channel: int, found: Activations, ranking: Exciting, photos: str) -> None:
    if not scene.layer.is_spatial:  # a step or a slice is no place in the photo
        ranking = replace(ranking, places=np.zeros_like(ranking.places), map_size=(1, 1))
    strongest = float(ranking.peaks[:, channel].max())
    if strongest <= 0 and not ranking.peaks[:, channel].any():
        what = "Channel" if scene.layer.kind in ("maps", "volume") else "Unit"
        st.info(f"{what} {channel} answers to none of these photos.", icon=":material/volume_off:")
    else:
        st.markdown(compare(found.values[scene.layer.name][..., channel], ranking.peaks[:, channel]))
        show_photos(
            ranking,
            channel,
            "exciting",
            on_select=lambda: take_the_clicked(ranking, photos),
            selection_mode="points",
        )
    say_what_was_seen(ranking, framed=scene.layer.is_spatial)


def compare(values: np.ndarray, peaks: np.ndarray) -> str:
    """What this photo is among the others, in a sentence."""
    own = float(np.max(values, where=np.isfinite(values), initial=-np.inf))
    # The same photo may answer a hair differently in a batch.
    above = int(np.sum(peaks > own + 1e-4 * max(1e-6, abs(own))))
    beaten = {0: "None of these excites it more.", 1: "One of these excites it more."}
    return f"This photo: **{own:.3g}**. {beaten.get(above, f'{above} of these excite it more.')}"


def show_photos(ranking: Exciting, channel: int, name: str, **more: Any) -> None:
    tiles = plots.exciting_tiles(ranking, channel, SHOWN)
    width, height = plots.exciting_size(len(tiles))
    st.html(f"<style>.st-key-{name}_frame {{ aspect-ratio: {width} / {height}; max-height: 62vh; }}</style>")
    captions = {sample.name: sample.caption for sample in samples.PHOTOGRAPHS}
    with st.container(key=f"{name}_frame"):
        show_figure(
            plots.exciting_photos(tiles, ranking, captions),
            name,
            f"The {len(tiles)} photos that excite channel {channel} most, the strongest first",
            height="stretch",
            **more,
        )


def say_what_was_seen(ranking: Exciting, *, framed: bool) -> None:
    count = len(ranking.names)
    beyond = f", taken from all over the {count + ranking.beyond:,}" if ranking.beyond else ""
    st.caption(
        f"{count:,} photo{'s' * (count != 1)} looked at{beyond}, each cropped to what the network sees. "
        f"{'The frame shows where it fires; a' if framed else 'A'} click takes the photo."
    )
    if ranking.left_out:
        with st.expander(f"{len(ranking.left_out)} left out", icon=":material/report:"):
            table = pd.DataFrame(ranking.left_out, columns=["file", "why"]).map(label)
            st.dataframe(table, hide_index=True, width="stretch")


def take_the_clicked(ranking: Exciting, photos: str) -> None:
    """The clicked photo becomes that of the page."""
    points = st.session_state["exciting"].selection.points
    if not points:
        return
    name = ranking.names[int(points[0]["customdata"][0])]
    if photos == "samples":
        st.session_state[key("source")], st.session_state[key("photo")] = "sample", name
        return
    try:
        st.session_state[key("own_photo")] = photo_in(photos, name), label(name)
        st.session_state[key("source")] = "upload"
    except UserError as error:
        st.toast(in_markdown(str(error)), icon=":material/error:")


def photo_in(path: str, name: str) -> Photo:
    """The photo that the ranking calls `name`, read from the ZIP once more."""
    with archives.entries(Path(path)) as found:
        for entry in found:
            if entry.label == name:
                try:
                    return uploaded_photo(entry.read(), name)
                except archives.Unreadable as reason:
                    raise UserError(f"{name} {reason}.") from reason
    raise UserError(f"{name} is no longer on this machine. Choose the photos again.")
