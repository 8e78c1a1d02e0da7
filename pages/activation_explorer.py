"""Activation Explorer: a photo goes in, every channel of a layer comes out."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core import plots
from core.messages import ActivationsRequest, LayerInfo, ModelInfo, Prediction, PredictRequest
from pages.shared import links
from pages.shared.controls import choose_layer, choose_model, choose_photo, device_sign, photo_to_carry, wait_for
from pages.shared.resources import engine
from pages.shared.router import VISUALIZER, by_the_front_door
from pages.shared.words import in_markdown, label

PAGE = "explorer"
FIRST_LAYER = "block1_expand_activation"  # the embedded network's edges and colours: a good first look


def main() -> None:
    by_the_front_door()
    device_sign()
    st.title("Activation Explorer")
    info = choose_model(PAGE)
    photo, caption = choose_photo(PAGE)
    predictions = wait_for(
        engine().submit("core.activations:predict", PredictRequest(info.ref, photo), kind="interactive"),
        "Asking the network",
    )
    say_predictions(info, predictions)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        layers = [layer for layer in info.layers if layer.is_spatial or len(layer.output_shape) == 1]
        layer = choose_layer(info, PAGE, layers, first_layer(layers))
        activations = wait_for(
            engine().submit(
                "core.activations:infer", ActivationsRequest(info.ref, photo, (layer.name,)), kind="interactive"
            ),
            "Looking at the photo",
        )
        values = activations.values[layer.name]
        channel = show_maps(layer, values) if layer.is_spatial else show_units(info, layer, values)
    with right:
        if channel is not None:
            show_channel(info, layer, values[:, :, channel], channel, activations.seen)
        show_predictions(predictions, caption)


def first_layer(layers: list[LayerInfo]) -> str:
    names = [layer.name for layer in layers]
    for layer in layers:
        if layer.name.endswith(FIRST_LAYER):
            return layer.name
    return names[min(3, len(names) - 1)]


def say_predictions(info: ModelInfo, predictions: tuple[Prediction, ...]) -> None:
    first, *others = [f"{in_markdown(label(p.name))} ({100 * p.probability:.0f} %)" for p in predictions]
    more = f", or perhaps {', '.join(others[:2])}" if others else ""
    untrained = " It is untrained: this is a guess made of random numbers." if "untrained" in info.origin else ""
    st.markdown(f"The network says **{first}**{more}.{untrained}")


def show_predictions(predictions: tuple[Prediction, ...], caption: str) -> None:
    st.subheader(f"Its {len(predictions)} best guesses", anchor=False)
    st.plotly_chart(
        plots.prediction_bars(predictions),
        width="stretch",
        key="predictions",
        theme=None,
        config={"displayModeBar": False},
        alt=f"The best guesses for {caption}",
    )


def show_maps(layer: LayerInfo, values: np.ndarray) -> int:
    """The grid of channels; returns the one that is chosen."""
    channels = choose_page(values.shape[-1])
    channel = choose_channel(layer, values, channels)
    show_grid(plots.stitch_channels(values, channels), channel, layer)
    return channel


def choose_page(count: int) -> list[int]:
    """The channels on show: 64 at a time."""
    pages = -(-count // plots.PAGE)
    widget = links.restore(PAGE, "page", 1, allowed=range(1, pages + 1), parse=int)
    if pages > 1:
        page = st.segmented_control(
            "Channels",
            range(1, pages + 1),
            format_func=lambda page: f"{(page - 1) * plots.PAGE}–{min(page * plots.PAGE, count) - 1}",
            key=widget,
            persist_state="session",
            required=True,
        )
    else:
        page = 1
    links.publish(PAGE, page=page if page > 1 else None)
    return list(range((page - 1) * plots.PAGE, min(page * plots.PAGE, count)))


def choose_channel(layer: LayerInfo, values: np.ndarray, shown: list[int]) -> int:
    """The channel of the link or the last click; for a new layer or page, the liveliest of those on show."""
    key = links.restore(PAGE, "channel", None, allowed=range(values.shape[-1]), parse=int)
    belongs_to = links.key(PAGE, "channel_of")
    changed = st.session_state.get(belongs_to, layer.name) != layer.name
    st.session_state[belongs_to] = layer.name
    if changed or st.session_state[key] not in shown:
        st.session_state[key] = shown[int(np.argmax(values[:, :, shown].std(axis=(0, 1))))]
    links.publish(PAGE, channel=st.session_state[key])
    return st.session_state[key]


def show_grid(grid: plots.Grid, channel: int, layer: LayerInfo) -> None:
    def choose() -> None:
        points = st.session_state["grid"].selection.points
        # A second click on the same number sends an empty selection: it means "keep".
        if points:
            st.session_state[links.key(PAGE, "channel")] = int(points[0]["customdata"])

    st.plotly_chart(
        plots.channel_grid(grid, channel),
        width="stretch",
        key="grid",
        on_select=choose,
        selection_mode="points",
        theme=None,
        config={"displayModeBar": False},
        alt=f"The maps of {len(grid.channels)} channels of {layer.name} as coloured tiles",
    )
    cells = "" if grid.reduced == 1 else f" Each drawn cell is the mean of {grid.reduced} × {grid.reduced} cells."
    meaning = (
        "White is zero, red above, blue below."
        if grid.range.signed
        else "Dark is zero: the channel does not find its pattern there. Bright is a strong answer."
    )
    st.caption(
        f"{meaning} One colour scale for all. Point at a map for its values; click its number to see it large.{cells}"
    )


def show_channel(info: ModelInfo, layer: LayerInfo, values: np.ndarray, channel: int, seen: np.ndarray) -> None:
    st.subheader(f"Channel {channel} on the photo", anchor=False)
    # Drawn above the slider that it answers to: what one looks at must not jump when one moves the other.
    picture = st.empty()
    strength = st.slider(
        "How much of the map",
        0,
        100,
        key=links.restore(PAGE, "blend", 60, allowed=range(101), parse=int),
        step=5,
        format="%d %%",
        persist_state="session",
    )
    picture.plotly_chart(
        plots.channel_over_photo(values, seen, strength / 100),
        width="stretch",
        key="large",
        theme=None,
        config={"displayModeBar": False},
        alt=f"Channel {channel} of {layer.name} over the photo",
    )
    zeros = float(np.mean(values == 0))
    st.caption(
        f"mean {values.mean():.3g} · highest {values.max():.3g} · lowest {values.min():.3g} · {100 * zeros:.0f} % zeros"
    )
    if st.button("What is this filter looking for?", icon=":material/texture:", width="stretch"):
        links.go(
            VISUALIZER,
            "visualizer",
            model=info.ref.name,
            weights=links.weights_name(info.ref.weights),
            layer=layer.name,
            view="filters",
            choose="page",
            first=channel // plots.PAGE * plots.PAGE,
            count=plots.PAGE,
            filter=channel,
            **photo_to_carry(PAGE),
        )


def show_units(info: ModelInfo, layer: LayerInfo, values: np.ndarray) -> None:
    links.publish(PAGE, channel=None, page=None)
    names = info.class_names if layer.name == info.layers[-1].name else None
    shown = min(20, len(values))
    st.subheader(f"The {shown} strongest of {len(values)} units", anchor=False)
    st.plotly_chart(
        plots.unit_bars(values, names, shown),
        width="stretch",
        key="units",
        theme=None,
        config={"displayModeBar": False},
        alt=f"The strongest units of {layer.name}",
    )


main()
