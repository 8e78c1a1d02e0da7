"""Channels switched off or up, and the prediction that follows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from core import images, plots
from core.architecture import tiling
from core.messages import Effects, EffectsRequest, Prediction, WhatIf, WhatIfRequest
from pages.explorer.common import PAGE, Scene, activations, ask, key
from pages.shared import links
from pages.shared.choices import show_figure, show_picture
from pages.shared.words import in_markdown, label, percent

NAMES = ("watch", "off", "up")
MOST_OFF, MOST_UP, MANY = 64, 8, 10
FACTORS = (2.0, 4.0, 8.0)
SHOWN = 16  # channels in the chart, all of them measured
MAPS = 8
Factors = dict[int, float]


def show(scene: Scene) -> None:
    if not scene.info.tells_classes:
        st.info(
            "There is no prediction here that could change: this network does not tell classes"
            f"{' at this photo size' if scene.info.own_size else ''}. Maps and Compare show what its layers do.",
            icon=":material/info:",
        )
        return
    st.fragment(show_live)(scene)


def show_live(scene: Scene) -> None:
    """All of the view; a click here runs this again, and not the rest of the page."""
    begin_anew_elsewhere(scene)
    restore_changes(scene)
    left, right = st.columns([6, 5], gap="medium")
    with left:
        target = choose_class(scene)
        found = effects_on(scene, target)
        show_effects(scene, found)
    with right:
        after = st.container()
        offer_many(found)
        factors = choose_changes(scene)
        with after:
            show_prediction(scene, target, factors)
        show_changed_maps(scene, factors)
    publish(factors, target, scene)


def effects_on(scene: Scene, target: int) -> Effects:
    request = EffectsRequest(scene.model, scene.photo, scene.layer.name, target, SHOWN)
    return ask("core.interventions:effects", request, "Switching off channel after channel", kind="study")


# --- What is changed -------------------------------------------------------------------------------------------------


def begin_anew_elsewhere(scene: Scene) -> None:
    """The numbers of another layer's channels mean nothing here."""
    place = scene.model, scene.layer.name
    if st.session_state.setdefault(key("changes_of"), place) != place:
        st.session_state[key("changes_of")] = place
        st.session_state[key("off")], st.session_state[key("up")] = [], []


def restore_changes(scene: Scene) -> None:
    """From the link, or as they were: which channels are off, which are up, and by how much."""
    links.restore(PAGE, "off", [], parse=lambda text: list(numbers_in(text)))
    links.restore(PAGE, "up", [], parse=lambda text: remember_factors(factors_in(text)))
    channels = range(scene.layer.channels)
    off = [channel for channel in st.session_state[key("off")] if channel in channels][:MOST_OFF]
    up = [each for each in st.session_state[key("up")] if each in channels and each not in off][:MOST_UP]
    st.session_state[key("off")], st.session_state[key("up")] = off, up


def numbers_in(text: str) -> dict[int, None]:
    """`"41,7"` -> 41 and 7, each once, in their order; raises `ValueError` for anything else."""
    return dict.fromkeys(int(part) for part in text.split(",")[:MOST_OFF])


def factors_in(text: str) -> Factors:
    """`"3:2,9:4"` -> channel 3 twice and channel 9 four times as strong; raises `ValueError` for anything else."""
    pairs = [part.split(":") for part in text.split(",")[:MOST_UP]]
    factors = {int(channel): float(factor) for channel, factor in pairs}
    if not set(factors.values()) <= set(FACTORS):
        raise ValueError
    return factors


def remember_factors(factors: Factors) -> list[int]:
    for channel, factor in factors.items():
        st.session_state[factor_key(channel)] = factor
    return list(factors)


def factor_key(channel: int) -> str:
    return key(f"factor_{channel}")


def choose_changes(scene: Scene) -> Factors:
    """Which channels are multiplied, and by what."""
    channels = range(scene.layer.channels)
    first, second = st.columns(2)
    off = first.multiselect(
        "Switched off",
        channels,
        key=key("off"),
        max_selections=MOST_OFF,
        persist_state="session",
        placeholder="Click a bar, or choose here",
        help="The network goes on as if these channels had found nothing.",
    )
    up = second.multiselect(
        "Turned up",
        [channel for channel in channels if channel not in off],
        key=key("up"),
        max_selections=MOST_UP,
        persist_state="session",
        placeholder="Choose channels",
        help="The network goes on as if these channels had answered more strongly than they did.",
    )
    factors = dict.fromkeys(off, 0.0)
    places = st.columns(4) if up else []
    for place, channel in enumerate(up):
        with places[place % len(places)]:
            factors[channel] = choose_factor(channel)
    return factors


def choose_factor(channel: int) -> float:
    widget = factor_key(channel)
    if st.session_state.get(widget) not in FACTORS:
        st.session_state[widget] = FACTORS[0]
    return st.select_slider(
        f"Channel {channel}",
        FACTORS,
        format_func=lambda factor: f"× {factor:g}",
        key=widget,
        persist_state="session",
        help="So many times as strong as it is.",
    )


def toggle(channel: int) -> None:
    off = st.session_state[key("off")]
    st.session_state[key("off")] = [each for each in off if each != channel] if channel in off else [*off, channel]
    st.session_state[key("up")] = [each for each in st.session_state[key("up")] if each != channel]


def publish(factors: Factors, target: int, scene: Scene) -> None:
    off = [str(channel) for channel, factor in factors.items() if factor == 0]
    up = [f"{channel}:{factor:g}" for channel, factor in factors.items() if factor != 0]
    watched = target if target != scene.predictions[0].index else None
    links.publish(PAGE, off=",".join(off) or None, up=",".join(up) or None, watch=watched)


# --- Which class, and what it depends on -----------------------------------------------------------------------------


def choose_class(scene: Scene) -> int:
    """The class to watch: the network's first answers, then all others."""
    answers = {prediction.index: prediction for prediction in scene.predictions}
    names = scene.info.class_names or ()
    others = [index for index in range(max(len(names), len(answers))) if index not in answers]
    options = [*answers, *others]

    def say(index: int) -> str:
        if index in answers:
            return f"{label(answers[index].name)} ({percent(answers[index].probability)})"
        return label(names[index]) if index < len(names) else f"class {index}"

    widget = links.restore(PAGE, "watch", options[0], allowed=set(options), parse=int)
    follow_the_answer(widget, options[0], scene)
    return st.selectbox(
        "Class to watch",
        options,
        format_func=say,
        key=widget,
        persist_state="session",
        help="First what the network takes the photo for, then every class that it knows. Type to search.",
    )


def follow_the_answer(widget: str, answer: int, scene: Scene) -> None:
    """With another photo or network, watch what it is taken for now, if so one did before."""
    seen, asked = key("watched"), (scene.model, scene.photo.digest)
    before = st.session_state.get(seen)
    if before is not None and before[0] != asked and before[1] == st.session_state[widget]:
        st.session_state[widget] = answer
    st.session_state[seen] = asked, answer


def show_effects(scene: Scene, found: Effects) -> None:
    rows = plots.effect_rows(found, SHOWN)

    def clicked() -> None:
        points = st.session_state["effects"].selection.points
        if points:
            toggle(int(points[0]["customdata"][0]))

    show_figure(
        plots.effect_bars(rows, off_now()),
        "effects",
        f"How much the class loses without each of the {len(rows)} channels of {scene.layer.name} with the largest "
        "estimates",
        on_select=clicked,
        selection_mode="points",
    )
    st.caption(
        f"The {len(rows)} of {scene.layer.channels} channels with the largest estimates, in points of the class's "
        "score. Up: the class needs it; down: it speaks against the class. **Click a bar to switch its channel off.**",
        help="Measured: the channel is switched off, and the score (before the softmax) falls by so much. Estimated: "
        "gradient × activation, which is quick for all channels, and right where the network is nearly linear.",
    )


def off_now() -> set[int]:
    return set(st.session_state[key("off")])


def offer_many(found: Effects) -> None:
    losses = found.approximate.copy()
    for each in found.exact:
        losses[each.channel] = each.logit
    most = [int(channel) for channel in np.argsort(-losses, kind="stable")[:MANY] if losses[channel] > 0]

    def switch_off() -> None:
        st.session_state[key("off")] = most
        st.session_state[key("up")] = []

    def switch_on() -> None:
        st.session_state[key("off")], st.session_state[key("up")] = [], []

    with st.container(horizontal=True):
        offer(f"Switch off the {MANY} it needs most", "power_off", switch_off)
        offer("All back on", "power", switch_on)


def offer(words: str, icon: str, action: Callable[[], None]) -> None:
    st.button(words, icon=f":material/{icon}:", key=key(icon), on_click=action)


# --- What follows ----------------------------------------------------------------------------------------------------


def show_prediction(scene: Scene, target: int, factors: Factors) -> None:
    request = WhatIfRequest(scene.model, scene.photo, scene.layer.name, tuple(sorted(factors.items())), watch=target)
    answer = ask("core.interventions:what_if", request, "Asking the changed network")
    st.markdown(sentence(answer, target, factors))
    before, after = best_of(answer)
    show_figure(
        plots.grouped_bars(
            [label(each.name) for each in before],
            {
                "as it is": [each.probability for each in before],
                "changed": [each.probability for each in after],
            },
            percent=True,
        ),
        "what_if",
        "The classes' probabilities before and after the change",
    )


def best_of(answer: WhatIf, most: int = 7) -> tuple[list[Prediction], list[Prediction]]:
    """At most `most` classes, those that are likeliest before or after."""
    pairs = list(zip(answer.before, answer.after, strict=True))
    kept = sorted(pairs, key=lambda pair: -max(each.probability for each in pair))[:most]
    return [pair[0] for pair in pairs if pair in kept], [pair[1] for pair in pairs if pair in kept]


def sentence(answer: WhatIf, target: int, factors: Factors) -> str:
    """What has happened, in words."""
    before, after = (next(each for each in side if each.index == target) for side in (answer.before, answer.after))
    name = f"*{in_markdown(label(before.name))}*"
    if not factors:
        return f"All channels are as they are: {name} has {percent(before.probability)}. Click a bar to switch one off."
    first, now = (max(side, key=lambda each: each.probability) for side in (answer.before, answer.after))
    said = f"*{in_markdown(label(now.name))}*"
    verdict = f"still says {said}" if first.index == now.index else f"now says {said}"
    return f"{changes_in_words(factors)}, {name} {moves(before.probability, after.probability)}; the network {verdict}."


def changes_in_words(factors: Factors) -> str:
    off = [channel for channel, factor in factors.items() if factor == 0]
    up = [f"channel {channel} × {factor:g}" for channel, factor in factors.items() if factor != 0]
    parts = []
    if off:
        parts.append(f"without channel {off[0]}" if len(off) == 1 else f"without {len(off)} channels")
    if up:
        parts.append(f"with {', '.join(up)}")
    words = " and ".join(parts)
    return words[0].upper() + words[1:]


def moves(before: float, after: float) -> str:
    if percent(before) == percent(after):
        return f"stays at {percent(before)}"
    return f"{'falls' if after < before else 'rises'} from {percent(before)} to {percent(after)}"


def show_changed_maps(scene: Scene, factors: Factors) -> None:
    """What has been switched off or up: the first few channels' maps."""
    shown = list(factors)[:MAPS]
    if not shown or scene.layer.kind == "vector":
        return
    values = activations(scene).values[scene.layer.name][..., shown]
    values = plots.as_maps(values, tiling(scene.info.layers, scene.layer))
    colours = plots.colour_range(values)
    palette = "diverging" if colours.signed else "viridis"
    side = 96
    tiles = np.stack(
        [images.colourise(values[:, :, place], colours.low, colours.high, palette) for place in range(len(shown))]
    )
    repeat = max(1, -(-side // max(tiles.shape[1:3])))
    tiles = tiles.repeat(repeat, axis=1).repeat(repeat, axis=2)
    more = f" and {len(factors) - MAPS} more" if len(factors) > MAPS else ""
    numbers = ", ".join(str(channel) for channel in shown) + more
    columns = st.columns(MAPS, gap="small")
    for column, channel, tile in zip(columns, shown, tiles, strict=False):
        with column:
            show_picture(images.encode_webp(tile), f"The map of channel {channel}", caption=str(channel))
    st.caption(f"What channels {numbers} found on the photo, as it was before the change.")
