"""A new photo for the trained network, and whether it is of any class at all."""

from __future__ import annotations

import math

import streamlit as st

from core import plots, runs
from core.messages import Prediction
from core.runs import Run
from core.samples import PHOTOGRAPHS
from core.transfer import verdicts
from core.transfer.requests import Tried, TryRequest, Unknown, UnknownRequest
from pages.shared import links
from pages.shared.choices import show_figure, show_picture
from pages.shared.controls import choose_photo_here, wait_for
from pages.shared.viewing import submit
from pages.shared.words import in_markdown, label, percent
from pages.trainer.common import PAGE, ask, key

NAMES = ("source", "photo", "limit", "look")
MANY = 500  # training photos; to look at more than these for the first time is long work
SHOWN = 6  # classes
CAPTIONS = {sample.name: sample.caption for sample in PHOTOGRAPHS}


def show(run: Run) -> None:
    """A photo, what is said of it, and the meter; a choice here runs this again, and not the rest of the page."""
    st.fragment(show_live)(run)


def show_live(run: Run) -> None:
    verdict = st.container()
    seen, said, distances = st.columns([10, 11, 14], gap="medium")
    with seen:
        photo, caption = choose_photo_here(PAGE, picture=False)
        source = st.session_state[key("source")]
        links.publish(PAGE, source=source if source != "sample" else None)
    with said:
        meter = measured(run)
        request = TryRequest(str(run.folder), photo, runs.ended(run.folder))
        tried = ask("core.transfer.trying:run", request, "Looking at the photo", kind="study")
        show_said(run, tried)
        show_nearest(run, tried)
    with seen:
        show_seen(tried, caption)
    with distances:
        limit = show_meter(run, meter, tried)
    with verdict:
        say(run, tried, limit)


def measured(run: Run) -> Unknown:
    kind = "study" if run.report.training_images <= MANY else "render"
    request = UnknownRequest(str(run.folder), runs.ended(run.folder))
    return wait_for(submit("core.transfer.unknown:measure", request, kind=kind), "Measuring distances")


def say(run: Run, tried: Tried, limit: float) -> None:
    best = max(range(len(tried.probabilities)), key=tried.probabilities.__getitem__)
    name = f"*{in_markdown(label(run.report.classes[best], 40))}*"
    sure = percent(tried.probabilities[best])
    far = f"Its distance is {tried.distance:.2f}, the threshold {limit:.2f}."
    if tried.distance > limit:
        st.warning(f"**This is none of these, probably.** {far} Forced to choose, it says {name} ({sure}).")
    else:
        st.success(f"**{name}**: {sure}. {far}")


def show_seen(tried: Tried, caption: str) -> None:
    looks = st.toggle(
        "Where it looked",
        key=links.restore(PAGE, "look", True, parse=lambda text: text != "False"),
        persist_state="session",
        help="Grad-CAM on the last maps: red speaks for the likeliest class.",
    )
    links.publish(PAGE, look=None if looks else False)
    words = "where the network looked" if looks else "as the network sees it"
    show_picture(tried.heat if looks else tried.picture, f"{label(caption)}: {words}")


def show_said(run: Run, tried: Tried) -> None:
    order = sorted(range(len(tried.probabilities)), key=lambda place: -tried.probabilities[place])[:SHOWN]
    predictions = [
        Prediction(place, label(run.report.classes[place], 40), tried.probabilities[place]) for place in order
    ]
    more = len(tried.probabilities) - len(order)
    st.markdown("What it says" + (f", the likeliest {SHOWN} of {SHOWN + more} classes" if more else "") + ":")
    show_figure(plots.prediction_bars(predictions), "said", "The probabilities of the classes")


def show_nearest(run: Run, tried: Tried) -> None:
    st.markdown("The training photos most like it:")
    columns = st.columns(3, gap="small")
    for place, near in enumerate(tried.nearest):
        with columns[place % 3]:
            name = label(run.report.classes[near.label], 14)
            words = f"{in_markdown(name)} {near.distance:.2f}"
            show_picture(near.picture, f"The training photo {label(near.file)}", caption=words)


def show_meter(run: Run, meter: Unknown, tried: Tried) -> float:
    """The distances, and below them the threshold; returns it."""
    low, high = plots.distance_range(meter, tried.distance)
    strip = st.container()
    limit = choose_limit(run, meter, low, high)
    passing, others = verdicts.let_through(meter, limit)
    with strip:
        figure = plots.distance_strip(meter, limit, CAPTIONS, tried.distance)
        show_figure(figure, "distances", "How far validation photos, other things and this photo are")
    known = f"**{passing} of {len(meter.known)}** validation photos"
    st.markdown(
        f"It lets through {known} and **{others} of {len(meter.others)}** photos of other things (those that "
        f"come with the app). {verdicts.meter(meter).words}"
    )
    st.caption(
        f"The distance is that to the {ordinal(meter.neighbours)} nearest training photo, between what the network's "
        "last layer but one makes of both: 0 is the same, 2 the opposite. If one of the other things is of your "
        "classes, it should be let through."
    )
    return limit


def choose_limit(run: Run, meter: Unknown, low: float, high: float) -> float:
    usual = math.ceil(100 * meter.threshold) / 100
    widget = links.restore(PAGE, "limit", usual, parse=float)
    belongs = key("limit_of")
    if st.session_state.setdefault(belongs, run.name) != run.name:  # another network has other distances
        st.session_state[belongs], st.session_state[widget] = run.name, usual
    if not low <= st.session_state[widget] <= high:
        st.session_state[widget] = min(max(usual, low), high)
    limit = st.slider(
        "Threshold: what lies farther away is none of these",
        low,
        high,
        key=widget,
        step=0.01,
        persist_state="session",
        help="At first so that at least 95 % of the validation photos pass. Lower: fewer other things pass, but also "
        "fewer of your own.",
    )
    links.publish(PAGE, limit=f"{limit:.2f}" if abs(limit - usual) > 0.004 else None)
    return limit


def ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}th")
