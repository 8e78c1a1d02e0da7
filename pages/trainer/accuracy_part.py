"""How often it is right, against what, and how sure one can be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core import plots
from core.runs import Run
from core.transfer import evaluation
from core.transfer.evaluation import Calibration, Share
from core.transfer.requests import TrainingReport
from pages.shared import links
from pages.shared.choices import show_figure, show_in_room
from pages.shared.words import in_markdown, label
from pages.trainer import answers
from pages.trainer.answers import Answers
from pages.trainer.common import PAGE, choose_one, key

SCORES = {"confusion": "What it takes for what", "classes": "Class by class", "sure": "How sure it is"}
NAMES = ("scores", "cell", "cell_sheet", answers.CLOSER)
WIDE = 0.1  # an interval that is wider is said to be so
PER_SHEET, COLUMNS = 6, 3
# Beside a matrix that is higher than the window the photos stay in view.
_IN_VIEW = """<style>
[data-testid="stLayoutWrapper"]:has(> .st-key-cell_photos) { position: sticky; top: 4rem; }
</style>"""
ROOM = "min(100vh - 392px, 800px)"  # what the window leaves for a figure


def show(run: Run) -> None:
    st.fragment(show_live)(run)


def show_live(run: Run) -> None:
    """All of the part; a choice here runs this again, and not the rest of the page."""
    show_accuracy(run)
    scores = choose_one(
        "Look at",
        "scores",
        SCORES,
        "What it takes for what: the confusion matrix. Class by class: precision, recall and F1. How sure it is: "
        "whether it is right as often as it says (calibration).",
        label_visibility="collapsed",
    )
    found = answers.answers_of(run)
    if scores == "confusion":
        show_confusion(run.report, found)
    elif scores == "classes":
        show_classes(run.report)
    elif found is not None:
        show_calibration(evaluation.calibration(found.held.probabilities, found.held.labels))
    else:
        st.info("How sure the network was of each photo was not kept with this run. Train again to see it.")
    links.publish(PAGE, **dict.fromkeys(("cell", "cell_sheet", answers.CLOSER) if scores != "confusion" else ()))


# --- Accuracy ---------------------------------------------------------------------------------------------------------


def show_accuracy(run: Run) -> None:
    report = run.report
    validation = evaluation.share(int(np.trace(np.array(report.confusion))), report.validation_images)
    test = test_share(report)
    measured = [("validation", validation)] + ([("test folder", test)] if test else [])
    always = majority_class(report)
    figure, words = st.columns([5, 6], gap="medium", vertical_alignment="center")
    with figure:
        show_figure(
            plots.accuracy_bars(
                measured, (f"always “{always}”" if always else "always the same", report.majority_accuracy)
            ),
            "accuracy",
            "The accuracy with its 95 % confidence interval, beside that of always giving the same answer",
        )
    with words:
        st.markdown(say_accuracy(report, validation, test, always))
        if validation.low <= report.majority_accuracy:
            st.warning(
                "Chance cannot be excluded: always giving the same answer may well be as good.",
                icon=":material/casino:",
            )


def test_share(report: TrainingReport) -> Share | None:
    """The share of the photos of a test folder, where there is one."""
    if report.test_accuracy is None or not report.test_images:
        return None
    return evaluation.share(round(report.test_accuracy * report.test_images), report.test_images)


def majority_class(report: TrainingReport) -> str | None:
    """A class that gives the majority's accuracy by always being said."""
    shares = np.array(report.confusion).sum(axis=1) / max(1, report.validation_images)
    found = np.flatnonzero(np.isclose(shares, report.majority_accuracy))
    return label(report.classes[found[0]], 20) if len(found) else None


def say_accuracy(report: TrainingReport, validation: Share, test: Share | None, always: str | None) -> str:
    said = f"**{validation.right} of {validation.total} right: {whole(validation.value)}.** {interval(validation)} "
    same = f"Always saying *{in_markdown(always)}*" if always else "Always giving the same answer"
    said += f"{same} would be right in {whole(report.majority_accuracy)}."
    if test is not None:
        said += (
            f" Of the {test.total} photos of the test folder, which were never looked at before, {test.right} are "
            f"right: **{whole(test.value)}** ({whole(test.low)} to {whole(test.high)})."
        )
    elif report.best_epoch is not None:
        said += " The best epoch was chosen by these same photos, which flatters a little."
    return said


def interval(found: Share) -> str:
    """What the confidence interval means, in a sentence."""
    ends = f"between {whole(found.low)} and {whole(found.high)}"
    if found.high - found.low > WIDE:
        return f"With so few photos the true value may lie anywhere {ends} (95 % confidence)."
    return f"The true value lies {ends} (95 % confidence)."


def whole(share: float) -> str:
    """A share in whole per cent: more digits would claim more than is known."""
    return f"{100 * share:.0f}\u00a0%"


# --- What it takes for what -------------------------------------------------------------------------------------------


def show_confusion(report: TrainingReport, found: Answers | None) -> None:
    cell = chosen_cell(report)
    matrix, beside = st.columns([6, 5] if len(report.classes) <= plots.HALF_PAGE else [8, 3], gap="medium")
    st.html(_IN_VIEW)
    with matrix:
        show_in_room(
            plots.confusion_matrix(report.confusion, report.classes, cell),
            "confusion",
            "Confusion matrix: rows are the true classes, columns what the network said",
            ROOM,
            on_select=take_clicked,
            selection_mode="points",
        )
    with beside, st.container(key="cell_photos"):
        choose_cell(report, cell)
        if found is None:
            st.info("What the network said to each photo was not kept with this run. Train again to see the photos.")
            return
        show_cell(found, *cell)
    answers.show_chosen(found)


def chosen_cell(report: TrainingReport) -> tuple[int, int]:
    """The cell on show, (true, said): the most frequent mistake until another is chosen."""
    many = len(report.classes)
    first, *_ = evaluation.mix_ups(report.confusion)
    allowed = {in_link((true, said)) for true in range(many) for said in range(many)}
    chosen = st.session_state[links.restore(PAGE, "cell", in_link(first), allowed=allowed)]
    links.publish(PAGE, cell=chosen if chosen != in_link(first) else None)
    true, said = chosen.split("-")
    return int(true), int(said)


def in_link(cell: tuple[int, int]) -> str:
    return f"{cell[0]}-{cell[1]}"


def choose_cell(report: TrainingReport, cell: tuple[int, int]) -> None:
    """The same choice as by a click, with the most frequent mistakes on top."""
    cells = {in_link(each): each for each in evaluation.mix_ups(report.confusion)}
    cells.setdefault(in_link(cell), cell)

    def say(name: str) -> str:
        true, said = cells[name]
        names, count = report.classes, report.confusion[true][said]
        happened = "recognised" if true == said else f"taken for {label(names[said], 24)}"
        return f"{label(names[true], 24)} {happened} ({count})"

    st.selectbox(
        "Photos",
        list(cells),
        format_func=say,
        key=key("cell"),
        persist_state="session",
        on_change=first_sheet,
        label_visibility="collapsed",
        help="Or click on a cell of the matrix.",
    )


def take_clicked() -> None:
    """The clicked cell; a second click on it selects nothing, and changes nothing."""
    points = st.session_state["confusion"].selection.points
    if points:
        true, said, *_ = points[0]["customdata"]
        st.session_state[key("cell")] = in_link((int(true), int(said)))
        first_sheet()


def first_sheet() -> None:
    st.session_state[key("cell_sheet")] = 1


def show_cell(found: Answers, true: int, said: int) -> None:
    places = np.flatnonzero((found.held.labels == true) & (found.said == said))
    places = places[np.argsort(-found.sure[places], kind="stable")]
    if len(places) == 0:
        how = "was recognised" if true == said else f"was taken for *{found.name(said)}*"
        st.info(f"No photo of *{found.name(true)}* {how}.")
        return
    sheet = answers.choose_sheet("cell_sheet", len(places), PER_SHEET)
    columns = COLUMNS if len(found.held.classes) <= plots.HALF_PAGE else COLUMNS - 1
    answers.show_tiles(found, places[sheet].tolist(), columns, heat=False)
    st.caption("The surest first. A click on a photo shows where the network looked.")


# --- Class by class ---------------------------------------------------------------------------------------------------


def show_classes(report: TrainingReport) -> None:
    scores = evaluation.class_scores(report.confusion, report.classes)
    table = pd.DataFrame(
        {
            "class": [label(each.name) for each in scores],
            "photos": [each.photos for each in scores],
            "precision": [in_percent(each.precision) for each in scores],
            "recall": [in_percent(each.recall) for each in scores],
            "F1": [in_percent(each.f1) for each in scores],
        }
    )
    bar = {"min_value": 0, "max_value": 100, "format": "%.0f %%"}
    columns = {
        "class": st.column_config.TextColumn("class"),
        "photos": st.column_config.NumberColumn("photos", help="So many validation photos are of this class."),
        "precision": st.column_config.ProgressColumn(
            "precision", help="Of the photos that it called so, the share that is.", **bar
        ),
        "recall": st.column_config.ProgressColumn(
            "recall", help="Of the photos of this class, the share that it called so.", **bar
        ),
        "F1": st.column_config.ProgressColumn("F1", help="The harmonic mean of precision and recall.", **bar),
    }
    st.dataframe(table, column_config=columns, hide_index=True, width="stretch", row_height=40, key=key("by class"))
    st.markdown(say_scores(scores))


def in_percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def say_scores(scores: tuple[evaluation.ClassScore, ...]) -> str:
    """How to read the table, by its weakest class."""
    scored = [each for each in scores if each.f1 is not None]
    worst = min(scored, key=lambda each: each.f1)
    name = in_markdown(label(worst.name))
    said = [
        "**Precision**: of the photos that it called so, how many are. **Recall**: of those that are, how many it "
        "found. **F1**: the harmonic mean of both. A click on a column's name sorts."
    ]
    if worst.f1 < 1:
        said.append(
            f"It does worst with *{name}*: of {worst.photos} it found {worst.right}, and of the {worst.said} that it "
            f"called so {worst.right} {'is one' if worst.right == 1 else 'are'}."
        )
    if any(each.precision is None for each in scores):
        said.append("Where precision is empty, it called no photo so.")
    return " ".join(said)


# --- How sure it is ---------------------------------------------------------------------------------------------------


def show_calibration(found: Calibration) -> None:
    figure, words = st.columns([6, 5], gap="medium", vertical_alignment="center")
    with figure:
        show_in_room(
            plots.reliability_diagram(found),
            "reliability",
            "Reliability diagram: how often it is right, by how sure it is, with the number of photos",
            ROOM,
        )
    with words:
        st.markdown(say_calibration(found))


def say_calibration(found: Calibration) -> str:
    """What the diagram shows, with care where photos are few."""
    fullest = int(np.argmax(found.counts))
    total, hits = int(found.counts[fullest]), int(found.hits[fullest])
    right = evaluation.share(hits, total)
    said = (
        f"When it says about {whole(found.sure[fullest])}, it is right in **{whole(right.value)}** ({hits} of {total})"
    )
    said += (
        f"; it may be anything from {whole(right.low)} to {whole(right.high)}."
        if right.high - right.low > WIDE
        else "."
    )
    overall = evaluation.share(int(found.hits.sum()), int(found.counts.sum()))
    means = f"On average it says {whole(found.mean_sure)} and is right in {whole(overall.value)}: "
    if found.mean_sure > overall.high:
        means += "it is **surer than it should be**."
    elif found.mean_sure < overall.low:
        means += "it is **less sure than it could be**."
    else:
        means += f"as sure as it should be, as far as {overall.total} photos can tell."
    error = (
        f"In the mean what it says and how often it is right are {100 * found.error:.0f} points apart "
        "(expected calibration error). Few photos make it larger than it is."
    )
    how = (
        "Bars on the dashed line would be ideal; below it, the network promises too much. The orange lines are 95 % "
        "confidence intervals; pale bars stand on fewer than ten photos."
    )
    return "\n\n".join((said, means, error, how))
