"""How the network learns: what will happen in one sentence, and every setting, in four groups."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core import plots
from core.backbones.catalogue import CATALOGUE
from core.engine import EngineError, Job
from core.errors import UserError
from core.messages import ModelRef
from core.transfer.presets import PRESETS
from core.transfer.requests import DataPreview, DataRequest, Outline, OutlineRequest
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.viewing import submit
from pages.shared.words import in_markdown, label, percent
from pages.trainer import augment_panel, finder_panel, graph_panel, recipe, recipe_settings, recipe_words
from pages.trainer.common import PAGE, Bench, choose_one, key
from pages.trainer.recipe_words import Facts

GROUPS = {
    "photos": "What it looks at",
    "head": "The new head",
    "learning": "How it learns",
    "fine": "Fine-tuning",
}
TOOLS = {"rate": "Which learning rate?", "graph": "What is the graph worth?"}
NAMES = ("group", "tool", *augment_panel.NAMES, *graph_panel.NAMES)
A_MOMENT = 0.2  # seconds
MOST_CHANGES = 6  # that are listed


def show(bench: Bench) -> None:
    told = st.container()
    group = choose_one(
        "Settings",
        "group",
        GROUPS,
        "What it looks at: the photos, and how they are changed at random. The new head: the layers that are put on "
        "the network. How it learns: epochs, rate, loss. Fine-tuning: whether the network itself learns too.",
        label_visibility="collapsed",
    )
    facts, known = find_facts(bench)
    {"photos": show_photos, "head": show_head, "learning": show_learning, "fine": show_fine_tuning}[group](bench, facts)
    with told:
        tell(bench, facts)
    if not known:
        st.fragment(look_again, run_every=1.0)(bench)


# --- What is known of the photos and the network ---------------------------------------------------------------------


def jobs_of(bench: Bench) -> tuple[Job | None, Job]:
    """What finds the facts; equal requests are computed once, and remembered."""
    name = bench.config.backbone.name
    # The same whatever its weights; a file has its own.
    backbone = ModelRef(name) if name in CATALOGUE else replace(bench.config.backbone, preprocessing=None)
    request = OutlineRequest(backbone, bench.config.size)
    outline = submit("core.transfer.outline:run", request, kind="study")  # first, for it is soon found
    photos = None
    if bench.config.data:
        photos = submit("core.transfer.preview:run", DataRequest(bench.config.data), kind="study")
    return photos, outline


def find_facts(bench: Bench) -> tuple[Facts, bool]:
    """The facts so far, and whether that is all; the page does not wait for more."""
    photos, outline = jobs_of(bench)
    preview, shape = result_of(photos), result_of(outline)
    facts = Facts(outline=shape if isinstance(shape, Outline) else None)
    if isinstance(preview, DataPreview):
        facts = replace(facts, counts=preview.counts, parts=preview.parts)
    return facts, all(job is None or job.snapshot().over for job in (photos, outline))


def result_of(job: Job | None):
    if job is None or not job.wait(A_MOMENT).over:
        return None
    try:
        return job.result()
    except (UserError, EngineError):  # the view of the photos says it
        return None


def look_again(bench: Bench) -> None:
    if all(job is None or job.snapshot().over for job in jobs_of(bench)):
        st.rerun()


# --- What will happen ------------------------------------------------------------------------------------------------


def tell(bench: Bench, facts: Facts) -> None:
    config = bench.config
    with st.container(border=True):
        st.markdown(recipe_words.summary(config, facts))
        tell_changes(bench)
    missing = recipe_words.weights_missing(config)
    for words in (missing, *recipe_words.cautions(config, facts)):
        if words:
            st.warning(words, icon=":material/warning:")
    for words in (recipe.dense_error(), *recipe_words.problems(config, facts)):
        if words:
            st.error(in_markdown(words), icon=":material/error:")


def tell_changes(bench: Bench) -> None:
    """What differs from the preset, and the way back to it."""
    said = [f"{setting.words} {setting.say(was)} → {setting.say(now)}" for setting, was, now in changed_settings()]
    said += changed_network(bench)
    if not said:
        st.caption(f"Just as in the recipe *{preset().title}*.")
        return
    more = f" and {len(said) - MOST_CHANGES} more" if len(said) > MOST_CHANGES else ""
    listed = in_markdown(", ".join(label(words) for words in said[:MOST_CHANGES]) + more)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"Changed from *{preset().title}*: {listed}", width="content")
        st.button(
            f"Back to {preset().title}",
            key=key("back to preset"),
            icon=":material/undo:",
            on_click=recipe.take_preset,
            help="Every setting as the recipe has it.",
        )


def preset():
    return PRESETS[recipe.value("preset")]


def changed_settings() -> list[tuple[recipe.Setting, object, object]]:
    return [(recipe.SETTINGS[name], *pair) for name, pair in recipe.changes().items()]


def changed_network(bench: Bench) -> list[str]:
    wanted = preset().backbone
    if wanted is None or wanted == bench.config.backbone.name:
        return []
    return [f"network {CATALOGUE[wanted].title} → {recipe_words.title_of(bench.config)}"]


# --- The groups ------------------------------------------------------------------------------------------------------


def show_photos(bench: Bench, facts: Facts) -> None:
    links.publish(PAGE, tool=None, **dict.fromkeys(graph_panel.NAMES))
    left, right = st.columns([5, 7], gap="large")
    with left:
        recipe_settings.photos()
    with right:
        augment_panel.show(bench)


def show_head(bench: Bench, facts: Facts) -> None:
    links.publish(PAGE, tool=None, **dict.fromkeys((*augment_panel.NAMES, *graph_panel.NAMES)))
    left, right = st.columns([5, 7], gap="large")
    with left:
        recipe_settings.head()
    with right:
        show_head_layers(bench, facts)


def show_head_layers(bench: Bench, facts: Facts) -> None:
    """The head as a table: what is put on the network, and how many numbers that are."""
    maps = facts.outline.maps if facts.outline else ()
    if not maps or not facts.counts:
        st.caption("How many numbers the head has is said here when the photos have been read.")
        return
    config = bench.config
    shape = " × ".join(map(str, maps))
    pooled = recipe_words.features(config, maps)
    rows = [("the network's last maps", shape, ""), (recipe_words.POOLINGS[config.pooling], f"{pooled:,}", "")]
    layers = recipe_words.head_layers(config, maps, len(facts.counts))
    rows += [(name, f"{units:,}", f"{numbers:,}") for name, units, numbers in layers]
    table = "\n".join(f"| {name} | {size} | {numbers} |" for name, size, numbers in rows)
    st.markdown(f"| the head | gives | numbers to learn |\n|:--|--:|--:|\n{table}")
    st.caption(
        "Pooling keeps one number of each channel, wherever in the photo it was; flattening keeps every cell of every "
        "channel, and so where it was. That gives the next layer many more numbers to learn, from the same few photos."
    )


def show_learning(bench: Bench, facts: Facts) -> None:
    links.publish(PAGE, **dict.fromkeys(augment_panel.NAMES))
    left, right = st.columns([5, 7], gap="large")
    with left:
        recipe_settings.learning()
    with right:
        tool = choose_one(
            "Try out",
            "tool",
            TOOLS,
            "Which learning rate: a short run in which it rises until the loss explodes. What is the graph worth: one "
            "step of training with tf.function and without.",
            label_visibility="collapsed",
        )
        if tool == "rate":
            links.publish(PAGE, **dict.fromkeys(graph_panel.NAMES))
            finder_panel.show(bench)
        else:
            graph_panel.show(bench)


def show_fine_tuning(bench: Bench, facts: Facts) -> None:
    links.publish(PAGE, tool=None, **dict.fromkeys((*augment_panel.NAMES, *graph_panel.NAMES)))
    left, right = st.columns([5, 7], gap="large")
    with left:
        recipe_settings.fine_tuning(facts.outline)
    with right:
        say_fine_tuning(bench, facts)


def say_fine_tuning(bench: Bench, facts: Facts) -> None:
    config = bench.config
    if config.from_scratch:
        st.markdown(
            "**From scratch**: the network forgets what it learned from 1.2 million photos and begins with random "
            "numbers. All of them, also those of the first layers, must now be learned from your photos alone. This is "
            "for comparison: with few photos it recognises far less, and each epoch takes many times as long."
        )
        return
    found = recipe_words.fine_tuned(config, facts.outline) if facts.outline else None
    if found is not None:
        total = sum(numbers for _, numbers, _ in facts.outline.layers)
        verb = "learn" if config.fine_tune_epochs else "would learn"
        st.markdown(
            f"From the layer **{in_markdown(label(found[0]))}** on, **{found[1]:,}** of the network's {total:,} "
            f"numbers {verb} ({percent(found[1] / max(total, 1))})."
        )
        show_figure(
            plots.layer_numbers(facts.outline.layers, found[0] if config.fine_tune_epochs else None),
            "layer numbers",
            "How many numbers each layer of the network has, and which of them learn",
        )
    st.markdown(
        "**Two stages.** First only the new head learns; the network in front of it is frozen. Were both to learn at "
        "once, the head's first, random corrections would run back through the network and destroy what it knows. "
        "Then, with a rate some hundred times smaller, its last layers may adapt to your photos. The first layers see "
        "edges and colours, which are of use for any photo: they stay as they are, and so do the averages in its "
        "BatchNorm layers."
    )
