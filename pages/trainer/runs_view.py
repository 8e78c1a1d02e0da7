"""All that was trained here: a table, one or two runs side by side, their results, their recipes, and their end."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd
import streamlit as st

from core import plots, runs
from core.backbones.catalogue import CATALOGUE
from core.errors import UserError
from core.messages import digest_of
from core.runs import Run
from core.transfer import evaluation, history, settings
from core.transfer.evaluation import Share
from core.transfer.report import cell
from core.transfer.requests import TrainingConfig
from pages.shared import links, opening, visitors
from pages.shared.choices import offer, show_figure
from pages.shared.controls import show_error
from pages.shared.words import in_markdown, label, percent
from pages.trainer import recipe
from pages.trainer.common import PAGE, Bench, is_running, key, show_run, turn_to

NAMES = ("compare",)
NOTHING_YET = "Nothing has been trained here yet. Choose photos and press *Start training*."
ONES_OWN = (
    "Your own runs, and those that you were given a link to. Keep the link of yours: it finds them again when this tab "
    "was closed. Only this tab can delete them."
)
MOST = 2  # runs side by side
ROW, HEADER = 40, 37  # pixels
SHOWN = 7  # rows without scrolling


def show(bench: Bench) -> None:
    visitors.follow_link(*st.query_params.get("compare", "").split(","))
    found = visitors.all_runs()
    if visitors.are_a_class():
        st.caption(ONES_OWN)
    if not found:
        st.info(NOTHING_YET)
        return
    chosen = choose_runs(found)
    if not chosen:
        st.info("Tick one run to see its settings, or two to compare them.", icon=":material/check_box:")
        return
    if len(chosen) == MOST:
        compare(*chosen)
    else:
        describe(chosen[0])


# --- The table -------------------------------------------------------------------------------------------------------


def choose_runs(found: list[Run]) -> list[Run]:
    """The runs that are ticked in the table, at most two, the upper one first; in the page's link."""
    names = [run.name for run in found]
    wanted = links.restore(PAGE, "compare", [], parse=lambda text: text.split(","))
    before = [name for name in st.session_state[wanted] if name in names]
    widget = table_key(names)
    if widget not in st.session_state:
        st.session_state[key("ticked at first")] = [names.index(name) for name in before]
    table = st.dataframe(
        pd.DataFrame([row_of(run) for run in found]),
        key=widget,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": st.session_state[key("ticked at first")]}},
        hide_index=True,
        width="stretch",
        row_height=ROW,
        height=min(len(found), SHOWN) * ROW + HEADER,
        column_config=columns(),
        placeholder="",
        alt="The training runs that are kept on this machine, the newest first",
    )
    ticked = sorted(row for row in table.selection.rows if row < len(found))
    with st.container(horizontal=True, vertical_alignment="center"):
        offer(
            "Save the table",
            lambda: table_csv(found),
            "runs.csv",
            "text/csv",
            key("save runs"),
            "All columns and every setting, for a spreadsheet (CSV).",
        )
        if len(ticked) > MOST:
            st.markdown("Two runs at most can be compared: the first two that are ticked are shown.")
    chosen = [found[row] for row in ticked[:MOST]]
    st.session_state[wanted] = [run.name for run in chosen]
    links.publish(PAGE, compare=",".join(run.name for run in chosen) or None)
    return chosen


def table_key(names: list[str]) -> str:
    """Another table for other runs: a tick is a place in the table, and means another run when one has come or gone."""
    return key(f"runs {digest_of(repr(names).encode())}")


def row_of(run: Run) -> dict[str, Any]:
    """What the table says of a run; nothing where it is not known."""
    config, report = run.config, run.report
    share = share_of(run)
    return {
        "begun": run.when.replace(tzinfo=None),
        "state": state_of(run),
        "accuracy": None if share is None else 100 * share.value,
        "95 %": "" if share is None else f"{100 * share.low:.0f} – {100 * share.high:.0f} %",
        "always the same": None if report is None else 100 * report.majority_accuracy,
        "classes": "" if report is None else label(", ".join(report.classes), 40),
        "photos": None if report is None else report.images,
        "network": "" if config is None else label(settings.network_name(config), 40),
        "recipe": "" if config is None else settings.recipe_name(config),
        "size": None if config is None else config.size,
        "epochs": epochs_words(run),
        "rate": "" if config is None else settings.rate_words(config.learning_rate),
        "seconds": None if report is None else report.seconds,
    }


def columns() -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "begun": st.column_config.DatetimeColumn("begun", format="D MMM HH:mm", width=100),
        "state": text("state", width=78),
        "accuracy": number("accuracy", format="%.0f %%", width=74, help="Of the validation photos."),
        "95 %": text("95 %", width=82, help="The true accuracy lies between these, with 95 % confidence."),
        "always the same": number(
            "baseline", format="%.0f %%", width=68, help="The accuracy of always answering the most frequent class."
        ),
        "classes": text("classes", width=84),
        "photos": number("photos", width=56),
        "network": text("network", width=118),
        "recipe": text("recipe", width=82),
        "size": number("size", format="%d", width=48, help="Of each photo, in pixels a side."),
        "epochs": text("epochs", width=62, help="Of the head, and of fine-tuning."),
        "rate": text("rate", width=50, help="The learning rate of the head."),
        "seconds": number("time", format="%.0f s", width=50, help="Of computing."),
    }


def state_of(run: Run) -> str:
    if is_running(run.name):
        return "running"
    if run.report is not None and not run.report.stopped:
        return "finished"
    if run.can_go_on:
        return "can go on"
    return "stopped" if run.report is not None else "broken off"


def epochs_words(run: Run) -> str:
    """`8`, `20 + 5` with fine-tuning; `3 of 8` where it was stopped."""
    if run.config is None:
        return "" if run.report is None else str(run.report.epochs)
    fine = f" + {run.config.fine_tune_epochs}" if run.config.fine_tune_epochs else ""
    planned = f"{run.config.epochs}{fine}"
    return f"{run.report.epochs} of {planned}" if run.report is not None and run.report.stopped else planned


def share_of(run: Run) -> Share | None:
    """Its accuracy with the interval; `None` while it has not ended."""
    if run.report is None:
        return None
    total = run.report.validation_images
    return evaluation.share(round(run.report.validation_accuracy * total), total)


def table_csv(found: list[Run]) -> bytes:
    """The table and all settings as CSV in UTF-8, with nothing in it that a spreadsheet would take for a formula."""
    lines = []
    for run in found:
        told = {} if run.config is None else settings.told(run.config)
        lines.append({"run": run.name, **row_of(run), **told})
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(cell, names))
    for line in lines:
        writer.writerow([cell(line.get(name, "")) for name in names])
    return text.getvalue().encode("utf-8-sig")  # the mark by which spreadsheets know UTF-8


# --- One run ---------------------------------------------------------------------------------------------------------


def describe(run: Run) -> None:
    headline(run)
    if run.config is not None:
        told = settings.told(run.config)
        half = (len(told) + 1) // 2
        for column, names in zip(st.columns(2, gap="large"), (list(told)[:half], list(told)[half:]), strict=True):
            with column:
                show_settings({name: (told[name],) for name in names}, ("value",))
    rows = history.read(run.folder)
    if rows:
        show_figure(
            plots.compared_curves({title_of(run): rows}),
            "run_curves",
            "Accuracy and loss of this run by epoch, of validation and training photos",
        )


def headline(run: Run, letter: str = "") -> None:
    """What it came to, and what can be done with it."""
    share, name = share_of(run), run.name
    result = "no result yet" if share is None else f"{percent(share.value)} right"
    more = "" if share is None else f" (the true share lies between {percent(share.low)} and {percent(share.high)})"
    st.markdown(f"**{f'{letter}: ' if letter else ''}{result}**{more}  \n{in_markdown(title_of(run))}")
    with st.container(horizontal=True, gap="small"):
        if run.report is not None:
            shown = st.button("Show its results", icon=":material/insights:", key=key(f"results {name}"))
        else:
            shown = st.button("Show its training", icon=":material/show_chart:", key=key(f"training {name}"))
        if shown:
            show_run(name)
            turn_to("training" if run.report is None else "results")
            st.rerun()
        if run.config is not None:
            st.button(
                "Use its recipe again",
                icon=":material/restart_alt:",
                key=key(f"recipe {name}"),
                on_click=use_recipe,
                args=(run,),
                help="Sets the network and every setting of the recipe as this run had them. The photos stay.",
            )
        offer_end(run)


def title_of(run: Run) -> str:
    """A run in few words: when, and of what."""
    classes = label(", ".join(run.report.classes), 40) if run.report is not None else "no result yet"
    return f"{run.when:%d %b %H:%M} · {classes}"


def use_recipe(run: Run) -> None:
    """For a callback: put the network and every setting of the recipe where the run had them."""
    config = run.config
    for name, setting in recipe.SETTINGS.items():
        value, widget = setting.of(config), recipe.key(name)
        if setting.allowed is not None and value not in setting.allowed:
            value = nearest(value, setting.allowed)
        if value is not None or setting.allowed is None or None in setting.allowed:
            st.session_state[widget] = value
    network = network_of(config)
    for name, value in (("model", network), ("weights", links.weights_name(config.backbone.weights))):
        st.session_state[key(name)] = value
        st.session_state.setdefault("links_read", set()).add(key(name))
    st.session_state[recipe.own_key("layer of")] = network
    turn_to("recipe")


def network_of(config: TrainingConfig) -> str:
    """How the list of networks knows the run's backbone: a name of the catalogue, another run's network, or a file."""
    ref = config.backbone
    if ref.name in CATALOGUE:
        return ref.name
    others = (str(run.path) for run in visitors.finished_models())
    found = next((path for path in others if runs.same_backbone(path, ref.name)), None)
    return found or opening.reopen(ref)


def nearest(value: Any, allowed: Any) -> Any:
    """The allowed number that is nearest to `value`; `None` where it is no number."""
    numbers = [each for each in allowed if isinstance(each, (int, float)) and not isinstance(each, bool)]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not numbers:
        return None
    return min(numbers, key=lambda each: abs(each - value))


def offer_end(run: Run) -> None:
    """Deleting asks first, and says what will be lost."""
    if is_running(run.name):
        st.button("Delete", icon=":material/delete:", key=key(f"running {run.name}"), disabled=True, help="It runs.")
        return
    if not visitors.may_delete(run.name):
        return
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(say_lost(run))
        sure = st.button(
            "Delete for good", type="primary", key=key(f"delete {run.name}"), icon=":material/delete_forever:"
        )
    if sure:
        try:
            runs.delete(run.name)
        except UserError as error:
            show_error(error)
            return
        if st.session_state.get(key("run")) == run.name or st.query_params.get("run") == run.name:
            show_run(None)
        st.rerun()


def say_lost(run: Run) -> str:
    lost = ["its settings"]
    if run.report is not None:
        lost += ["its results and curves", "the trained network, here and on the other two pages"]
    if (run.folder / runs.PHOTOS).is_file():
        lost.append("its copy of the photos (the ZIP that you gave stays where you have it)")
    if run.can_go_on:
        lost.append("what it would need to go on")
    return "These will be gone, for everybody here:\n" + "".join(f"\n- {words}" for words in lost)


# --- Two runs --------------------------------------------------------------------------------------------------------


def compare(one: Run, other: Run) -> None:
    for column, run, letter in zip(st.columns(2, gap="large"), (one, other), "AB", strict=True):
        with column:
            headline(run, letter)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        show_accuracies({"A": one, "B": other})
    with right:
        curves = {letter: history.read(run.folder) for letter, run in (("A", one), ("B", other))}
        if any(curves.values()):
            show_figure(
                plots.compared_curves(curves),
                "compared_curves",
                "Accuracy and loss of both runs by epoch, of validation and training photos",
            )
    show_differences(one, other)


def show_accuracies(chosen: dict[str, Run]) -> None:
    shares = [(name, share) for name, run in chosen.items() if (share := share_of(run)) is not None]
    if not shares:
        st.markdown("Neither of them has a result yet.")
        return
    reports = [run.report for run in chosen.values() if run.report is not None]
    baseline = max(report.majority_accuracy for report in reports)
    show_figure(
        plots.accuracy_bars(shares, ("always the same", baseline)),
        "compared_accuracies",
        "The accuracies with their 95 % confidence intervals, and that of always giving the same answer",
    )
    st.markdown(say_comparison([share for _, share in shares], one_data(list(chosen.values()))))


def one_data(chosen: list[Run]) -> bool:
    """Whether the runs tell the same classes apart, of as many photos."""
    return len({(run.report.classes, run.report.images) for run in chosen if run.report is not None}) < 2


def say_comparison(shares: list[Share], same_photos: bool) -> str:
    """Whether one can tell which is better."""
    if len(shares) < MOST:
        return "The other one has no result yet."
    if not same_photos:
        return "They learned from different photos: their accuracies say little about which recipe is better."
    first, second = sorted(shares, key=lambda share: share.value)
    if first.value == second.value:
        return "Both are right equally often."
    if first.high < second.low:
        return "The intervals do not meet: the better one is better, beyond luck."
    return "The intervals overlap: the difference may be luck. More validation photos would tell."


def show_differences(one: Run, other: Run) -> None:
    if one.config is None or other.config is None:
        st.markdown("The settings of one of them cannot be read any more.")
        return
    found = settings.differing(one.config, other.config)
    if not found:
        st.markdown("**Their settings are the same.**")
        return
    st.markdown(f"**{len(found)} {'setting differs' if len(found) == 1 else 'settings differ'}**")
    show_settings(found, ("A", "B"))


def show_settings(found: dict[str, tuple[str, ...]], names: tuple[str, ...]) -> None:
    """Settings and their values, letter for letter."""
    head = "| setting | " + " | ".join(names) + " |\n|" + " :--- |" * (len(names) + 1)
    lines = [
        f"| {' | '.join([name, *(in_markdown(label(value)) for value in values)])} |" for name, values in found.items()
    ]
    st.markdown("\n".join([head, *lines]))
