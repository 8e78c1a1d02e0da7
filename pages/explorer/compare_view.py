"""Two scenes side by side on the same channels: another photo, the photo changed, other pixels, other weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from core import images, perturbations, plots, runs, samples
from core.architecture import tiling
from core.backbones.catalogue import CATALOGUE
from core.backbones.preprocessing import PREPROCESSING, Preprocessing
from core.errors import UserError
from core.messages import LayerInfo, ModelInfo, ModelRef, Photo, Prediction, PredictRequest
from core.perturbations import Perturbation
from pages.explorer.channel_panel import class_names
from pages.explorer.common import PAGE, Scene, activations, ask, choose_one, key
from pages.shared import links, visitors
from pages.shared.choices import show_figure, show_in_room, show_picture
from pages.shared.controls import show_error
from pages.shared.resources import sample_photo, uploaded_photo
from pages.shared.words import in_markdown, label

AGAINST = {
    "changed": "The photo changed",
    "photo": "Another photo",
    "pixels": "Wrong preprocessing",
    "weights": "Other weights",
}
BY = {"strength": "strongest here", "difference": "most different"}
HOW_MANY = {"8": "8", "16": "16"}
SLIDERS = {  # name: words, from, to, step, unit, what it does
    "rotate": ("Rotate", -180, 180, 5, "°", "Anticlockwise; the corners are filled with the mirrored photo."),
    "blur": ("Blur", 0, 10, 1, " px", "Fine detail goes first."),
    "noise": ("Noise", 0, 100, 5, "", "Random numbers are added to every pixel: so large, of 255, are they typically."),
    "bright": ("Brightness", -90, 100, 10, " %", "Every pixel is multiplied."),
    "crop": ("Crop", 0, 80, 5, " %", "The middle is enlarged; so much of each side is cut away."),
}
SWITCHES = {"grey": ("Grey", "Without colours."), "flip": ("Mirrored", "Left is right.")}
NAMES = ("against", "by", "many", "other_photo", "pixels", "others", *SLIDERS, *SWITCHES)
OWN_PHOTO = "own"
NETWORKS = {"random": "random", "imagenet": "ImageNet"}  # their short names; a run's is its own
MOST_OTHERS = 2
DRAWN_AS = {  # what is drawn as a map, where it is none
    "steps": "Each picture is a unit, its steps from top to bottom. ",
    "tiles": "Each picture is a unit, its steps put back as tiles of the photo. ",
    "volume": "Each map is the mean over all slices. ",
}
ALL_CLASSES = 100_000
# What the window leaves for the maps, which are {ratio} times as high as the column is wide, and for their scale.
ROOM = "min(100vh - 560px, {ratio:.3f} * (63.5vw - 255px) + 60px)"


@dataclass(frozen=True)
class Shown:
    """A scene with its name in figures, and what the network sees: a picture of it."""

    scene: Scene
    name: str
    picture: np.ndarray


def show(scene: Scene) -> None:
    st.fragment(show_live)(scene)


def show_live(scene: Scene) -> None:
    """All of the view; a slider here runs this again, and not the rest of the page."""
    with st.container(horizontal=True):
        against = choose_one(
            "Compare with",
            "against",
            AGAINST,
            "The same channels twice, and their difference: for this photo and another one, for the same photo after "
            "a change, for pixels in another range than the network was trained on, or for other weights.",
        )
        by = choose_one(
            "Channels",
            "by",
            BY,
            "Those that answer most to the photo of the page, or those whose answers differ most.",
        )
        many = int(choose_one("How many", "many", HOW_MANY, "Fewer are larger."))
    name, choose, names = SECOND[against]
    links.publish(PAGE, **dict.fromkeys(each for other in SECOND.values() for each in other[2] if each not in names))
    others = choose(scene)
    if not others:
        return
    first = Shown(scene, name or own_name(scene), seen(scene.info, scene.photo))
    left, right = st.columns([4, 7], gap="medium")
    with left:
        show_pictures([first, *others])
        show_predictions([first, *others])
    with right:
        # Other weights may answer a thousand times as strongly.
        show_channels([first, *others], by, many, relative=against == "weights")


# --- The second scene ------------------------------------------------------------------------------------------------


def with_other_photo(scene: Scene) -> list[Shown]:
    captions = {sample.name: sample.caption for sample in samples.PHOTOGRAPHS}
    options = [name for name in captions if captions[name] != scene.caption] + [OWN_PHOTO]
    left, right = st.columns(2)
    name = left.selectbox(
        "Other photo",
        options,
        format_func=lambda name: captions.get(name, "A photo of your own …"),
        key=links.restore(PAGE, "other_photo", options[0], allowed=options),
        persist_state="session",
        help="One that comes with the app, or one of your own; that one stays on this machine.",
    )
    links.publish(PAGE, other_photo=name if name != OWN_PHOTO else None)
    with right:
        photo, caption = own_photo() if name == OWN_PHOTO else (sample_photo(name), captions[name])
    if photo is None:
        return []
    return [Shown(replace(scene, photo=photo, caption=caption), "other photo", seen(scene.info, photo))]


def own_photo() -> tuple[Photo | None, str]:
    file = st.file_uploader(
        "The other photo",
        type=["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"],
        key=key("other_file"),
        help="It stays on this machine.",
    )
    kept = key("own_other_photo")
    if file is not None:
        try:
            st.session_state[kept] = uploaded_photo(file.getvalue(), label(file.name)), label(file.name)
        except UserError as error:
            st.session_state.pop(kept, None)
            show_error(error)
    return st.session_state.get(kept, (None, ""))


def with_changed_photo(scene: Scene) -> list[Shown]:
    """The photo as the network sees it, turned, blurred ..., so that a pixel of blur is one of the network's."""
    change = choose_change()
    pixels = perturbations.apply(seen(scene.info, scene.photo), change)
    return [Shown(replace(scene, photo=Photo.of(pixels), caption="changed"), "changed", pixels)]


def choose_change() -> Perturbation:
    values: dict[str, Any] = {}
    columns = st.columns(len(SLIDERS) + 1, gap="medium")
    for column, (name, (words, low, high, step, unit, help_text)) in zip(columns, SLIDERS.items(), strict=False):
        with column:
            values[name] = st.slider(
                words,
                low,
                high,
                step=step,
                format=f"%d{unit.replace('%', '%%')}",
                key=links.restore(PAGE, name, 0, allowed=range(low, high + 1), parse=int),
                persist_state="session",
                help=help_text,
            )
    with columns[-1]:
        for name, (words, help_text) in SWITCHES.items():
            values[name] = st.toggle(
                words,
                key=links.restore(PAGE, name, False, parse=lambda text: text == "yes"),
                persist_state="session",
                help=help_text,
            )
    links.publish(PAGE, **{name: ("yes" if value is True else value) or None for name, value in values.items()})
    return Perturbation(brightness=values.pop("bright"), **values)


def with_wrong_preprocessing(scene: Scene) -> list[Shown]:
    proper = right_preprocessing(scene.info)
    wrong = {name: words_of(each) for name, each in PREPROCESSING.items() if each != proper}
    left, right = st.columns(2, vertical_alignment="bottom")
    chosen = left.selectbox(
        "The network is given",
        list(wrong),
        format_func=lambda name: wrong[name],
        key=links.restore(PAGE, "pixels", default_wrong(wrong), allowed=wrong),
        persist_state="session",
        help="Each network was trained on pixels in a range of its own, and understands no other.",
    )
    links.publish(PAGE, pixels=chosen)
    right.caption(
        f"It was trained on: {in_markdown(words_of(proper))}. The second picture is what it now takes the photo for."
    )
    other = replace(scene, info=replace(scene.info, ref=replace(scene.model, preprocessing=chosen)))
    return [Shown(other, "wrong", proper.undo(PREPROCESSING[chosen](seen(scene.info, scene.photo))))]


def right_preprocessing(info: ModelInfo) -> Preprocessing:
    """That of the network, also where its words say more than the preprocessing's own."""
    fitting = [each for each in PREPROCESSING.values() if info.preprocessing.startswith(each.words)]
    return max(fitting, key=lambda each: len(each.words), default=PREPROCESSING["none"])


def words_of(preprocessing: Preprocessing) -> str:
    return preprocessing.words.partition(";")[0]


def default_wrong(wrong: dict[str, str]) -> str:
    """The one that people take most often: pixels as they are, or, where those are right, −1 to 1."""
    return "none" if "none" in wrong else "tf"


def with_other_weights(scene: Scene) -> list[Shown]:
    options = other_networks(scene.model)
    if not options:
        st.info("There are no other weights for this network.")
        return []
    first = next(iter(options))
    links.restore(PAGE, "others", [first], parse=lambda text: text.split(","))
    before = st.session_state[key("others")]
    # With another network on the page what was chosen may be gone; an empty choice is a person's own.
    st.session_state[key("others")] = [name for name in before if name in options] or [first] * bool(before)
    chosen = st.multiselect(
        "Weights",
        list(options),
        format_func=lambda name: options[name][0],
        key=key("others"),
        max_selections=MOST_OTHERS,
        persist_state="session",
        placeholder="Choose one or two",
        help="The same layer with random numbers, as every network is born; as it was trained on ImageNet; or as it "
        "was trained here. One or two beside the network of the page.",
    )
    links.publish(PAGE, others=",".join(chosen) or None if chosen != [first] else None)
    return [
        other for name in chosen if (other := with_network(scene, NETWORKS.get(name, options[name][0]), *options[name]))
    ]


def own_name(scene: Scene) -> str:
    """What the page's network is called in figures, where little room is."""
    if scene.model.weights is None:
        return NETWORKS["random"]
    return NETWORKS["imagenet"] if scene.model.name in CATALOGUE else "this network"


def other_networks(model: ModelRef) -> dict[str, tuple[str, ModelRef]]:
    """What the network can be compared with: a name for the link, words, the network."""
    visitors.follow_link(*st.query_params.get("others", "").split(","))
    trained = {str(run.path): run for run in visitors.finished_models()}
    base = trained[model.name].backbone if model.name in trained else model.name
    options: dict[str, tuple[str, ModelRef]] = {}
    if model.weights is not None:
        options["random"] = "random (untrained)", replace(model, weights=None)
    if base in CATALOGUE and model != ModelRef(base, size=model.size):
        options["imagenet"] = "trained on ImageNet", ModelRef(base, size=model.size)
    for path, run in trained.items():
        if path != model.name and runs.same_backbone(run.backbone, base):
            words = f"★ {label(', '.join(run.classes), 24)} · {run.when:%d %b %H:%M}"
            options[run.id] = words, ModelRef(path, size=model.size)
    return told_apart(options)


def told_apart(options: dict[str, tuple[str, ModelRef]]) -> dict[str, tuple[str, ModelRef]]:
    """The same networks, those of the same words numbered: a widget knows its options by their words."""
    met: dict[str, int] = {}
    numbered = {}
    for name, (words, ref) in options.items():
        met[words] = met.get(words, 0) + 1
        numbered[name] = (words if met[words] == 1 else f"{words} ({met[words]})"), ref
    return numbered


def with_network(scene: Scene, name: str, words: str, ref: ModelRef) -> Shown | None:
    """The scene with another network, where that has the same layer; else a sentence, and nothing."""
    info = ask("core.backbones.loading:describe", ref, "Loading the other network", kind="study")
    layer = same_layer(info, scene.layer)
    if layer is None:
        missing = in_markdown(scene.layer.name)
        st.info(f"“{in_markdown(words)}” has no layer {missing} of the same kind. Choose another layer.")
        return None
    other = Scene(info, scene.photo, scene.caption, scene.predictions, layer)
    return Shown(other, name, seen(info, scene.photo))


def same_layer(info: ModelInfo, wanted: LayerInfo) -> LayerInfo | None:
    """The layer of that name and as many channels, whatever model it is nested in; the same shape if possible."""
    own = wanted.name.rpartition("/")[2]
    found = [
        layer
        for layer in info.layers
        if layer.name.rpartition("/")[2] == own and layer.channels == wanted.channels and layer.kind == wanted.kind
    ]
    return min(found, key=lambda layer: (layer.output_shape != wanted.output_shape, layer.name), default=None)


# What the first scene is called beside the second (nothing: by its weights), how the second is chosen, and the query
# parameters of that choice.
SECOND: dict[str, tuple[str, Callable[[Scene], list[Shown]], tuple[str, ...]]] = {
    "changed": ("the photo", with_changed_photo, (*SLIDERS, *SWITCHES)),
    "photo": ("this photo", with_other_photo, ("other_photo",)),
    "pixels": ("right", with_wrong_preprocessing, ("pixels",)),
    "weights": ("", with_other_weights, ("others",)),
}


def seen(info: ModelInfo, photo: Photo) -> np.ndarray:
    return images.fit(photo.pixels, info.input_size)


# --- What is shown ---------------------------------------------------------------------------------------------------


def show_pictures(shown: list[Shown]) -> None:
    """What each network sees; once, if all see the same."""
    columns = st.columns(max(2, len(shown)), gap="small")
    if all(np.array_equal(each.picture, shown[0].picture) for each in shown):
        one = len({each.scene.model for each in shown}) == 1
        shown = [replace(shown[0], name=f"what {'the' if one else 'each'} network sees")]
        if one:
            columns[1].markdown("**No difference yet.**  \nChange something above.")
    for column, each in zip(columns, shown, strict=False):
        with column:
            picture = images.encode_webp(framed(plots.crisp(each.picture)))
            show_picture(picture, f"{each.name}: what the network sees", caption=in_markdown(each.name))


def framed(picture: np.ndarray, width: int = 2, grey: int = 150) -> np.ndarray:
    """A white picture on a white page would be none."""
    return np.pad(picture, ((width, width), (width, width), (0, 0)), constant_values=grey)


def show_predictions(shown: list[Shown]) -> None:
    """The best guesses of each, with the probabilities that the others give them."""
    if not shown[0].scene.info.tells_classes:
        return
    answers = {each.name: everything_said(each.scene) for each in shown}
    names = best_names(list(answers.values()))
    show_figure(
        plots.grouped_bars(
            [label(name) for _, name in names],
            {name: [said.get(each) for each in names] for name, said in answers.items()},
            percent=True,
        ),
        "compared_predictions",
        "What the network says in each case, with probabilities",
    )


Class = tuple[int, str]


def everything_said(scene: Scene) -> dict[Class, float]:
    """Each class's probability. A class is its number and name: other networks may have others."""
    if not scene.info.tells_classes:
        return {}
    request = PredictRequest(scene.model, scene.photo, ALL_CLASSES)
    predictions: tuple[Prediction, ...] = ask("core.activations:predict", request, "Asking the network")
    return {(each.index, each.name): each.probability for each in predictions}


def best_names(answers: list[dict[Class, float]], each_gives: int = 2, most: int = 4) -> list[Class]:
    """The first guesses of all, those of the first network first."""
    order = [sorted(said, key=said.get, reverse=True) for said in answers]
    best = [name for said in order for name in said[:each_gives]]
    return list(dict.fromkeys([*best, *order[0]]))[: max(most, len(set(best)))]


def show_channels(shown: list[Shown], by: str, many: int, *, relative: bool) -> None:
    values = [activations(each.scene).values[each.scene.layer.name] for each in shown]
    names = [each.name for each in shown]
    layer = shown[0].scene.layer
    if layer.kind == "vector":
        known, *others = [class_names(each.scene) for each in shown]
        show_units(values, names, known if all(each == known for each in others) else None, by, many)
        return
    maps = [
        plots.as_maps(each, tiling(one.scene.info.layers, one.scene.layer))
        for each, one in zip(values, shown, strict=True)
    ]
    comparison = plots.compare_maps(maps, by, many, relative=relative)
    figure = plots.compared_grid(comparison, names)
    (left, right), (bottom, top) = figure.layout.xaxis.range, figure.layout.yaxis.range
    show_in_room(
        figure,
        "compared",
        f"The maps of channels {', '.join(map(str, comparison.channels))} of {layer.name} in each case, and their "
        "differences",
        ROOM.format(ratio=(bottom - top) / (right - left)),
    )
    kind = "tiles" if layer.kind == "steps" and tiling(shown[0].scene.info.layers, layer) else layer.kind
    st.caption(DRAWN_AS.get(kind, "") + in_words(comparison, names), help=distances(comparison, names))


def in_words(comparison: plots.Comparison, names: list[str]) -> str:
    """How to read the maps."""
    if comparison.same:
        return "All maps are the same."
    said = [
        "Above the maps the channel, below them how alike they are: 1 is the same pattern, 0 has nothing in common."
    ]
    if comparison.levels != (1.0,) * len(names):
        levels = ", ".join(f"{level:.3g} ({name})" for level, name in zip(comparison.levels, names, strict=True))
        said.append(f"Shown relative to each network's strongest answer in these maps: {levels}.")
    if comparison.resized:
        said.append("The maps differ in size; here all have that of the first.")
    if comparison.reduced > 1:
        said.append(f"Each drawn cell is the mean of {comparison.reduced} × {comparison.reduced}.")
    return in_markdown(" ".join(said))


def distances(comparison: plots.Comparison, names: list[str]) -> str:
    """Each channel's mean difference, as a table."""
    lines = [f"| channel | {' | '.join(in_markdown(name) for name in names[1:])} |", "|---" * len(names) + "|"]
    for place, channel in enumerate(comparison.channels):
        lines.append(f"| {channel} | {' | '.join(f'{each[place].distance:.3g}' for each in comparison.likeness)} |")
    return f"Mean difference from *{in_markdown(names[0])}*, without its sign:\n\n" + "\n".join(lines)


def unit_name(unit: int, known: list[str] | None) -> str:
    return f"unit {unit}" if known is None else known[unit]


def show_units(values: list[np.ndarray], names: list[str], known: list[str] | None, by: str, many: int) -> None:
    """`known` is what the units stand for: classes, or nothing that has a name."""
    units = plots.compare_units(values, by, many)
    show_figure(
        plots.grouped_bars(
            [unit_name(unit, known) for unit in units],
            {name: [float(vector[unit]) for unit in units] for name, vector in zip(names, values, strict=True)},
        ),
        "compared_units",
        "The same units in each case",
    )
