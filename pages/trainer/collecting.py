"""Photos collected class by class: type a name, then add photos by the webcam or from files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from core import archives, images
from core.errors import UserError
from pages.shared.choices import show_picture
from pages.shared.controls import show_error
from pages.shared.resources import keep_upload
from pages.shared.words import in_markdown, label
from pages.trainer.common import choose_one, key

WAYS = {"webcam": "Webcam", "files": "Files"}
TYPES = ["jpg", "jpeg", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"]
NAME_MOST = 40  # characters
CLASSES_MOST = 50
PHOTOS_MOST = 2000
SIDE = 96  # pixels of a thumbnail
SHOWN = 6  # of the last photos of each class
ENOUGH = 10  # photos of a class with which it is worth trying


@dataclass(frozen=True)
class Shot:
    """A photo on this machine, and a small WebP picture of it."""

    path: str
    thumbnail: bytes = field(repr=False)


Collection = dict[str, tuple[Shot, ...]]


def collection() -> Collection:
    """The classes in the order in which they were made, with their photos."""
    return st.session_state.setdefault(key("collected"), {})


def chosen() -> str:
    """The ZIP of all that was collected; "" where there is none yet, or where something has changed since."""
    path, packed = st.session_state.get(key("packed"), ("", None))
    return path if packed == collection() and Path(path).is_file() else ""


def show() -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        add()
    with right:
        show_classes()
        offer_to_use()


# --- Adding ----------------------------------------------------------------------------------------------------------


def add() -> None:
    st.text_input(
        "A new class",
        max_chars=NAME_MOST,
        key=key("new class"),
        persist_state="session",
        on_change=new_class,
        placeholder="Its name, for example mug",
        help="The name of what is in the photos. Two classes at least.",
    )
    if problem := st.session_state.get(key("class problem")):
        show_error(UserError(problem))
    classes = list(collection())
    if not classes:
        st.info("Type the name of the first class and press Enter.", icon=":material/new_label:")
        return
    if st.session_state.get(key("class")) not in classes:
        st.session_state[key("class")] = classes[-1]
    name = st.selectbox(
        "Photos for",
        classes,
        key=key("class"),
        persist_state="session",
        help="The next photos become examples of this class.",
    )
    way = choose_one("From", "way", WAYS, "Both can be used, one after the other.", label_visibility="collapsed")
    # Under another key the widget is a new one, empty again: ready for the next photo.
    turn = st.session_state.setdefault(key("turn"), 0)
    if way == "webcam":
        shot = st.camera_input("Take a picture", key=key(f"shot {turn}"), help="It stays on this machine.")
        files = [] if shot is None else [shot]
    else:
        files = st.file_uploader(
            "Photos", TYPES, accept_multiple_files=True, key=key(f"files {turn}"), help="They stay on this machine."
        )
    if files:
        take(name, [(file.name, file.getvalue()) for file in files])
        st.session_state[key("turn")] += 1
        st.rerun()
    for problem in st.session_state.get(key("refused"), ()):
        show_error(UserError(problem))


def class_name(text: str) -> str:
    """A name as a folder of a ZIP can bear it; "" where nothing is left."""
    return label(text.replace("/", "-").replace("\\", "-"), NAME_MOST).lstrip(". ").strip()


def new_class() -> None:
    """Callback: make a class of what was typed, and choose it for the next photos."""
    st.session_state[key("class problem")], st.session_state[key("refused")] = None, ()
    name = class_name(st.session_state[key("new class")])
    st.session_state[key("new class")] = ""
    names = {each.casefold(): each for each in collection()}
    if name.casefold() in names:
        st.session_state[key("class")] = names[name.casefold()]
    elif name.casefold() in archives.RESIDUE_FOLDERS:
        st.session_state[key("class problem")] = f"A class cannot be called {name!r}. Choose another name."
    elif len(names) >= CLASSES_MOST:
        st.session_state[key("class problem")] = f"There are {CLASSES_MOST} classes already; no more can be collected."
    elif name:
        st.session_state[key("collected")] = {**collection(), name: ()}
        st.session_state[key("class")] = name


def take(name: str, files: list[tuple[str, bytes]]) -> None:
    """Add photos to the class `name`; what cannot be used is said until the next ones come."""
    shots, refused = list(collection().get(name, ())), []
    room = PHOTOS_MOST - sum(map(len, collection().values()))
    with st.spinner("Adding the photos", show_time=True):
        for file_name, data in files[:room]:
            try:
                photo = images.photo(data, label(file_name))
                thumbnail = images.encode_webp(images.fit(photo.pixels, (SIDE, SIDE)))
                shots.append(Shot(str(keep_upload(data, Path(file_name).suffix)), thumbnail))
            except UserError as error:
                refused.append(str(error))
    if len(files) > room:
        refused.append(f"At most {PHOTOS_MOST:,} photos can be collected; the last {len(files) - room} were not added.")
    st.session_state[key("refused")] = refused[:5]
    st.session_state[key("collected")] = {**collection(), name: tuple(shots)}


# --- What is there ---------------------------------------------------------------------------------------------------


def show_classes() -> None:
    for number, (name, shots) in enumerate(collection().items()):
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{in_markdown(name)}** · {count_words(shots)}")
                st.button(
                    "Remove last",
                    key=key(f"undo {number}"),
                    icon=":material/undo:",
                    disabled=not shots,
                    on_click=remove_last,
                    args=(name,),
                    help="Takes the last photo of this class away again.",
                )
                st.button(
                    "Remove class",
                    key=key(f"remove {number}"),
                    icon=":material/delete:",
                    on_click=remove_class,
                    args=(name,),
                    help="Takes this class and all its photos away.",
                )
            if shots:
                for column, shot in zip(st.columns(SHOWN), shots[: -SHOWN - 1 : -1], strict=False):
                    with column:
                        show_picture(shot.thumbnail, f"A photo of {name}")


def count_words(shots: tuple[Shot, ...]) -> str:
    number = f"{len(shots)} photo{'s' * (len(shots) != 1)}"
    return number if len(shots) >= ENOUGH else f"{number}, better {ENOUGH}"


def remove_last(name: str) -> None:
    st.session_state[key("collected")] = {**collection(), name: collection()[name][:-1]}


def remove_class(name: str) -> None:
    st.session_state[key("collected")] = {each: shots for each, shots in collection().items() if each != name}


def offer_to_use() -> None:
    """The button that makes a ZIP of all classes, and what still stands in its way."""
    found = collection()
    if not found:
        return
    poor = [name for name, shots in found.items() if len(shots) < 2]
    ready = len(found) >= 2 and not poor
    used = bool(chosen())
    pressed = st.button(
        "Use these photos",
        type="secondary" if used else "primary",
        icon=":material/done_all:",
        disabled=not ready or used,
        key=key("use"),
        help="The data doctor looks at them, and the training can start.",
    )
    if pressed:
        use(found)
    elif not ready:
        missing = f"more photos of {poor[0]}" if poor else "another class"
        st.caption(f"At least two classes with at least two photos each are needed: {in_markdown(missing)} first.")


def use(found: Collection) -> None:
    try:
        path = keep_upload(pack(found), ".zip")
    except UserError as error:
        show_error(error)
        return
    st.session_state[key("packed")] = str(path), found
    st.rerun()


def pack(found: Collection) -> bytes:
    """One ZIP with a folder for each class. Raises `UserError` where a photo is not on this machine any more."""
    files = []
    for name, shots in found.items():
        for number, shot in enumerate(shots, 1):
            path = Path(shot.path)
            try:
                files.append((f"{name}/{number:04}{path.suffix}", path.read_bytes()))
            except OSError as error:
                raise UserError(
                    f"Photo {number} of {name} is not on this machine any more. Remove the class and collect it again."
                ) from error
    return archives.pack(files)
