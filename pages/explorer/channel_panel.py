"""The chosen channel: what it answers, where, and to what else."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core import plots
from core.messages import Activations
from pages.explorer.common import PAGE, Scene
from pages.shared import links
from pages.shared.controls import photo_to_carry
from pages.shared.router import VISUALIZER

NAMES = ("part", "blend")


def show(scene: Scene, channel: int, found: Activations) -> None:
    info, layer = scene.info, scene.layer
    values, seen = found.values[layer.name][:, :, channel], found.seen
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
