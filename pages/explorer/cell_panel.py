"""One cell of the chosen channel: what of the photo it sees, and how its value comes about, number by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core import plots
from core.architecture import is_drawable
from core.messages import Activations, Cell, CellRequest, Formula, LayerInfo, Pooled, Products, Source
from pages.explorer.common import PAGE, Scene, ask, key
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.words import in_markdown, label

NAMES = ("y", "x")
AXES = {1: (("y", "Step"),), 2: (("y", "Row"), ("x", "Column"))}  # of one channel's values: names in links, words


@st.fragment
def show(scene: Scene, channel: int, found: Activations) -> None:
    """A fragment: another cell changes nothing else on the page."""
    if st.session_state.pop(key("cell_moved"), False):
        st.rerun()  # the fragment still stands on the layer from which one has just walked away
    values = found.values[scene.layer.name]
    if values.ndim == 4:
        st.info(
            "How a cell of a volume comes about cannot be shown here. Choose a layer that gives maps, steps or units; "
            "**Slices** shows where this channel answers."
        )
        return
    here = (scene.layer.name, channel)
    # Drawn above the numbers that it answers to: it is what one looks at and clicks.
    pictures = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="cell_controls"):
        y, x = choose_cell(values[..., channel], here) if values.ndim > 1 else no_cell()
    cell = ask("core.cells:look", CellRequest(scene.model, scene.photo, *here, y, x), "Looking closely")
    with st.container(horizontal=True, gap="small", key="cell_walk"):
        large = st.button(
            "Large",
            key="cell_large",
            icon=":material/open_in_full:",
            help="The whole calculation, over the whole window.",
        )
        walk(scene, cell, (*here, y, x))
    with pictures:
        show_where(scene, channel, values, cell, (y, x))
    where = {1: "This unit", 2: f"Step {y}", 3: f"Row {y}, column {x}"}[values.ndim]
    st.markdown(f"{where} has the value **{in_markdown(plots.number(cell.value))}**. {sight_words(cell, scene.layer)}")
    show_arithmetic(scene, cell, "cell", most=4)
    if large:
        show_large(scene, cell, words_of(scene, channel, (y, x)))


# --- Which cell ------------------------------------------------------------------------------------------------------


def choose_cell(values: np.ndarray, here: tuple[str, int]) -> tuple[int, int]:
    """Row and column (or step, and 0) of the link, the last click or the numbers; for another channel, of its
    strongest cell. `values` is `float32[H, W]` or `float32[T]`."""
    axes = AXES[values.ndim]
    names = {
        name: links.restore(PAGE, name, None, allowed=range(size), parse=int)
        for (name, _), size in zip(axes, values.shape, strict=True)
    }
    changed = st.session_state.get(key("cell_of"), here) != here
    st.session_state[key("cell_of")] = here
    if changed or any(st.session_state[name] is None for name in names.values()):
        to_strongest(values)
    for (name, words), size in zip(axes, values.shape, strict=True):
        st.number_input(
            words,
            0,
            size - 1,
            step=1,
            key=names[name],
            persist_state="session",
            width=118,
            help=f"Counted from 0 to {size - 1}. A click on the picture chooses as well.",
        )
    st.button(
        "Strongest",
        key="cell_strongest",
        on_click=to_strongest,
        args=(values,),
        help="To the cell of this channel whose value is farthest from 0.",
    )
    y, x = (*(st.session_state[name] for name in names.values()), 0)[:2]
    links.publish(PAGE, y=y, x=x if len(axes) == 2 else None)
    return y, x


def no_cell() -> tuple[int, int]:
    links.publish(PAGE, y=None, x=None)
    return 0, 0


def to_strongest(values: np.ndarray) -> None:
    cells = values if values.ndim == 2 else values[:, None]
    st.session_state[key("y")], st.session_state[key("x")] = plots.strongest(cells)


# --- One layer back --------------------------------------------------------------------------------------------------


def walk(scene: Scene, cell: Cell, here: tuple[str, int, int, int]) -> None:
    """Buttons to the layers that this one computes with, and back again the way one came."""
    can_be_shown = {layer.name: layer for layer in scene.info.layers if is_drawable(layer) and layer.kind != "volume"}
    behind = [source for source in cell.arithmetic.sources if source.name in can_be_shown]
    trail = st.session_state.get(key("cell_trail"), [])
    if trail and trail[-1][1] != here:
        trail = st.session_state[key("cell_trail")] = []
    for number, source in enumerate(behind[:4]):
        st.button(
            in_markdown(label(source.name, 32)),
            key=f"cell_back_{number}",
            icon=":material/arrow_back:",
            on_click=go_back,
            args=(can_be_shown[source.name], source, here),
            help="One layer back: to the number that counts most for this cell.",
        )
    if trail:
        st.button(
            in_markdown(label(trail[-1][0][0], 32)),
            key="cell_forward",
            icon=":material/arrow_forward:",
            on_click=go_forward,
            args=(can_be_shown[trail[-1][0][0]],),
            help="To where you came from.",
        )


def go_back(layer: LayerInfo, source: Source, here: tuple[str, int, int, int]) -> None:
    there = (layer.name, source.channel, source.y, source.x)
    st.session_state[key("cell_trail")] = [*st.session_state.get(key("cell_trail"), []), (here, there)]
    go_to(layer, there)


def go_forward(layer: LayerInfo) -> None:
    *rest, (came_from, _) = st.session_state[key("cell_trail")]
    st.session_state[key("cell_trail")] = rest
    go_to(layer, came_from)


def go_to(layer: LayerInfo, there: tuple[str, int, int, int]) -> None:
    """Choose layer, channel and cell on the page; the channel is on show where channels come by their number."""
    name, channel, y, x = there
    chosen = {
        "layer": name,
        "channel_of": name,
        "channel": channel,
        "unit_order" if layer.kind == "vector" else "order": "index",
        "cell_of": (name, channel),
        "y": y,
        "x": x,
        "cell_moved": True,
    }
    st.session_state.pop(key("page"), None)  # the one that the channel is on
    for what, value in chosen.items():
        st.session_state[key(what)] = value


# --- What it sees ----------------------------------------------------------------------------------------------------


def show_where(scene: Scene, channel: int, values: np.ndarray, cell: Cell, place: tuple[int, int]) -> None:
    """The map, in which a click chooses another cell, beside the photo with what this one sees of it."""
    if values.ndim == 3:
        left, right = st.columns(2, gap="small")
        with left:
            click_on_map(plots.cell_map(values[:, :, channel], place), words_of(scene, channel, place))
    elif values.ndim == 2:
        left, right = st.columns(2, gap="small")
        with left:
            click_on_curve(values[:, channel], channel, place[0], words_of(scene, channel, place))
    else:
        right = st.container()
    with right:
        show_sight(cell, "cell_photo", height=196)


def click_on_map(figure, words: str) -> None:
    def choose() -> None:
        points = st.session_state["cell_map"].selection.points
        # A second click on the same cell sends an empty selection: it means "keep".
        if points:
            y, x = points[0]["customdata"][:2]
            st.session_state[key("y")], st.session_state[key("x")] = int(y), int(x)

    figure.update_layout(height=242)
    show_figure(figure, "cell_map", words, on_select=choose, selection_mode="points")


def click_on_curve(values: np.ndarray, unit: int, step: int, words: str) -> None:
    def choose() -> None:
        points = st.session_state["cell_curve"].selection.points
        if points:
            st.session_state[key("y")] = int(points[0]["point_index"])

    figure = plots.step_curve(values, f"unit {unit}", chosen=step)
    figure.update_layout(height=242)
    show_figure(figure, "cell_curve", words, on_select=choose, selection_mode="points")


def show_sight(cell: Cell, name: str, height: int) -> None:
    figure = plots.cell_on_photo(cell.seen, cell.region, cell.influence)
    figure.update_layout(height=height)
    show_figure(figure, name, "The photo, with what the cell can see of it and what it does see")


def sight_words(cell: Cell, layer: LayerInfo) -> str:
    facts = plots.sight(cell.region, cell.influence)
    if layer.kind == "steps":
        can = "What it can see of the photo is not known for a step."
    elif cell.region is None:
        can = "It **can see** all of the photo."
    else:
        down, across = cell.region.bottom - cell.region.top, cell.region.right - cell.region.left
        cut = "" if down * across == facts.can else ", in part beyond the photo's edge"
        can = f"It **can see** {down} × {across} pixels (the frame){cut}."
    if facts.does == 0:
        return f"{can} Just now no small change of a pixel changes it: on the way something is cut off (by a ReLU)."
    share = 100 * facts.most / facts.can
    return (
        f"{can} What it **does see** is orange: nine tenths of its answer to small changes comes from "
        f"{share:.0f} % of them."
    )


def words_of(scene: Scene, channel: int, place: tuple[int, int]) -> str:
    if scene.layer.kind == "vector":
        return f"{scene.layer.name}, unit {channel}"
    if scene.layer.kind == "steps":
        return f"{scene.layer.name}, unit {channel}, step {place[0]}"
    return f"{scene.layer.name}, channel {channel}, row {place[0]}, column {place[1]}"


# --- The arithmetic --------------------------------------------------------------------------------------------------


@st.dialog("How this value comes about", width="large")
def show_large(scene: Scene, cell: Cell, words: str) -> None:
    st.markdown(f"**{in_markdown(label(words))}**: {in_markdown(plots.number(cell.value))}")
    st.html("<style>.st-key-large_arithmetic p {font-size: 1.25rem}</style>")
    left, right = st.columns([2, 3], gap="large")
    with left:
        show_sight(cell, "large_photo", height=430)
        st.markdown(sight_words(cell, scene.layer))
    with right, st.container(key="large_arithmetic"):
        show_arithmetic(scene, cell, "large", most=6)


def show_arithmetic(scene: Scene, cell: Cell, prefix: str, most: int) -> None:
    """The steps one below the other, down to the value."""
    arithmetic = cell.arithmetic
    if arithmetic.note:
        inputs = ", ".join(source_words(scene, source) for source in arithmetic.sources)
        st.markdown(
            f"{in_markdown(arithmetic.note)} It computes with {inputs}; its value here is "
            f"**{in_markdown(plots.number(cell.value))}**."
        )
        return
    steps = list(arithmetic.steps)
    first = None
    if isinstance(steps[0], Products) and steps[0].each:
        first = steps.pop(0)
    if isinstance(steps[0], Products):
        show_products(scene, steps.pop(0), first, arithmetic.sources[0], prefix, most)
    elif isinstance(steps[0], Pooled):
        show_pooled(scene, steps.pop(0), arithmetic.sources[0], prefix)
    else:
        st.markdown(given_words(scene, steps[0], arithmetic.sources))
    for step in steps:
        show_formula(step)
    st.caption(
        f"Calculated here: {plots.number(arithmetic.result, 7)}. The network's own value: "
        f"{plots.number(cell.value, 7)}. Numbers on the way are shown rounded."
    )


def show_products(scene: Scene, step: Products, first: Products | None, source: Source, prefix: str, most: int) -> None:
    """Each input channel's share of the sum; and of one channel, the products themselves.

    `first` is the stage before, of a separable convolution: there the products are, channel by channel.
    """
    window = step if first is None else first
    rows, columns = window.inside.shape
    count = step.kernel.shape[-1]
    st.markdown(products_words(scene, step, first, source))
    found = plots.parts(step, most)
    names = [part_name(part, source, window) for part in found]
    if count > 1:
        scale = 1.1 if prefix == "large" else 1.0
        figure = plots.part_bars(step, found, names, times=step.inside.shape == (1, 1), scale=scale)
        show_figure(figure, f"{prefix}_parts", "What each input channel adds to the sum")
    if rows * columns > 1:
        show_tables(window, found, names, prefix)
    many = step.kernel.size if first is None else count
    st.markdown(f"Sum of all {many:,} products: **{in_markdown(plots.number(step.result))}**")


def products_words(scene: Scene, step: Products, first: Products | None, source: Source) -> str:
    rows, columns = (step if first is None else first).inside.shape
    count = step.kernel.shape[-1]
    what = source_words(scene, source)
    if rows * columns == 1:
        return f"**{count:,} products** of {what}: each input × its weight."
    if first is not None:
        return (
            f"Two stages. First each channel of {what} by itself: {rows} × {columns} cells × weights, added up. "
            f"Then these **{count:,} sums**, each × its second weight:"
        )
    if count == 1:
        return f"**{rows * columns} products** of {what}, one channel by itself: each cell × its weight."
    return (
        f"**{step.kernel.size:,} products** of {what}: {rows} × {columns} cells of {count} channels, each × its weight."
    )


def show_tables(step: Products, found: Sequence[plots.Part], names: Sequence[str], prefix: str) -> None:
    """Of one input channel: patch × kernel = products."""
    choices = {part.index: name for part, name in zip(found, names, strict=True) if part.index is not None}
    index = next(iter(choices))
    if len(choices) > 1:
        index = st.segmented_control(
            "The input channel whose products are written out",
            list(choices),
            format_func=choices.get,
            default=index,
            required=True,
            key=f"{prefix}_input_{'_'.join(map(str, choices))}",
            label_visibility="collapsed",
        )
    width = 570 if prefix == "large" else 385
    show_figure(
        plots.product_tables(step, index, width), f"{prefix}_tables", "Input cells × weights = products, as numbers"
    )
    if step.kernel.shape[-1] > 1:
        st.markdown(
            f"{choices[index]}: its products add up to **{in_markdown(plots.number(float(step.sums[index])))}**"
        )
    if not step.inside.all():
        st.caption("Empty cells lie outside the map: padding, which counts as 0.")


def part_name(part: plots.Part, source: Source, step: Products) -> str:
    if part.channel is None:
        return f"the other {part.count:,} together"
    if source.channels:
        return source.channels[part.channel]
    kind = "channel" if len(source.shape) > 2 else "unit"
    twice = "" if len(set(step.channels.tolist())) == len(step.channels) else f" ({part.index})"
    return f"{kind} {part.channel}{twice}"


def show_pooled(scene: Scene, step: Pooled, source: Source, prefix: str) -> None:
    count = int(step.inside.sum())
    what = source_words(scene, source)
    show_figure(plots.pooled_table(step), f"{prefix}_pooled", "The cells that are pooled")
    row, column = (int(places[index]) for places, index in zip((step.rows, step.columns), step.winner, strict=True))
    if step.kind == "max":
        st.markdown(
            f"The **largest of {count:,} cells** of {what}: row {row}, column {column} wins with "
            f"**{in_markdown(plots.number(step.result))}**."
        )
    else:
        total = plots.number(float(step.patch[step.inside].astype(np.float64).sum()))
        st.markdown(
            f"The **mean of {count:,} cells** of {what}: they add up to {in_markdown(total)}, divided by {count:,} "
            f"that is **{in_markdown(plots.number(step.result))}**."
        )


def show_formula(step: Formula) -> None:
    lines = [in_markdown(step.words)] if step.words else []
    if step.given:
        expression, numbers = in_markdown(step.expression), in_markdown(plots.with_numbers(step))
        same = numbers == in_markdown(plots.number(step.result))
        lines.append(expression if len(step.given) > 1 or not same else "")
        lines.append(f"= {numbers}" if not same else "")
    lines.append(f"= **{in_markdown(plots.number(step.result))}**")
    st.markdown("  \n".join(line for line in lines if line))


def given_words(scene: Scene, step: Formula, sources: Sequence[Source]) -> str:
    """What x (or a, b, …) are."""
    names = [name for name, _ in step.given][: len(sources)]
    pairs = zip(names, sources, strict=False)
    return "  \n".join(f"{name} is {cell_words(scene, source)}" for name, source in pairs)


def source_words(scene: Scene, source: Source) -> str:
    if source.name is None:
        return "what comes before (it has no name)"
    if source.name == "":
        return f"the photo after preprocessing ({in_markdown(scene.info.preprocessing)})"
    return in_markdown(label(source.name))


def cell_words(scene: Scene, source: Source) -> str:
    what = source_words(scene, source)
    if len(source.shape) == 3:
        channel = source.channels[source.channel] if source.channels else f"channel {source.channel}"
        return f"{what}, {channel}, row {source.y}, column {source.x}"
    step = f", step {source.y}" if len(source.shape) == 2 else ""
    return f"{what}{step}, unit {source.channel}"
