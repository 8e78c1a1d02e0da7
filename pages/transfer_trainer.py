"""Transfer Learning Trainer: a pretrained backbone, a new head, a person's own photos."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from core import plots, storage
from core.engine import Job
from core.errors import UserError
from core.messages import (
    Augmentation,
    DataPreview,
    DataRequest,
    JobSnapshot,
    ModelRef,
    Progress,
    TrainingConfig,
    TrainingReport,
    TrainingSnapshot,
)
from pages.shared import job_panel, links
from pages.shared.choices import show_figure
from pages.shared.controls import choose_ref, device_sign, show_error, wait_for
from pages.shared.resources import engine, training_jobs
from pages.shared.router import EXPLORER, VISUALIZER, by_the_front_door
from pages.shared.words import in_markdown, label

PAGE = "trainer"
RUN = links.key(PAGE, "run")
LONGEST_SAVING = 60  # seconds
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
FEWER = (5, 10, 20, 40)  # photos of each class, for those who want to see how few are enough
A_ROW = 6  # classes beside each other
SIZES = (96, 128, 160, 192, 224)


def main() -> None:
    by_the_front_door()
    device_sign()
    st.title("Transfer Learning Trainer")
    st.markdown("A network that can already see gets a **new last layer** and learns your classes from a few photos.")
    with st.sidebar:
        ref = choose_ref(PAGE)
        recipe = choose_recipe()
    data = choose_data()
    preview = wait_for(
        engine().submit("core.transfer.preview:run", DataRequest(data), kind="interactive"), "Reading the photos"
    )
    show_preview(preview)
    config = configure(ref, data, recipe)
    run = chosen_run()
    job = job_of(run) if run else None
    running = job is not None and not job.snapshot().over
    if st.button(
        "Start training",
        type="primary",
        icon=":material/model_training:",
        disabled=running,
        key=links.key(PAGE, "start"),
    ):
        start(config)
    if run:
        show_run(run)


# --- The photos ------------------------------------------------------------------------------------------------------


def choose_data() -> str:
    """`chessman`, or the path of a ZIP that a person brought."""
    sources = {"chessman": "Chess pieces (comes with the app)", "zip": "My photos (ZIP)"}
    source = st.segmented_control(
        "Photos",
        list(sources),
        format_func=sources.get,
        key=links.restore(PAGE, "data", "chessman", allowed=sources),
        persist_state="session",
        required=True,
    )
    links.publish(PAGE, data=source)
    if source == "chessman":
        return "chessman"
    file = st.file_uploader(
        "A ZIP with one folder for each class",
        type=["zip"],
        key=links.key(PAGE, "zip"),
        help="For example cats/ and dogs/, each with at least ten photos. The photos stay on this machine.",
    )
    if file is None:
        st.info(
            "Put the photos of each class into a folder of its own, and all the folders into one ZIP. "
            "The name of the folder becomes the name of the class.",
            icon=":material/folder_zip:",
        )
        st.stop()
    try:
        return str(storage.keep_upload(file.getvalue(), ".zip"))
    except UserError as error:
        show_error(error)
        st.stop()


def show_preview(preview: DataPreview) -> None:
    total = sum(preview.counts)
    st.markdown(f"**{total} photos in {len(preview.classes)} classes**")
    shown = list(zip(preview.classes, preview.counts, preview.thumbnails, strict=True))[: 2 * A_ROW]
    for row in range(0, len(shown), A_ROW):
        for column, (name, count, thumbnails) in zip(st.columns(A_ROW), shown[row : row + A_ROW], strict=False):
            column.image(thumbnails, width="stretch", alt=f"Photos of {label(name)}")
            column.markdown(f"{in_markdown(label(name, 30))} · {count}")
    if len(preview.classes) > len(shown):
        st.caption(f"… and {len(preview.classes) - len(shown)} more classes")
    if preview.left_out:
        with st.expander(f"{len(preview.left_out)} files are left out", icon=":material/report:"):
            st.dataframe(
                pd.DataFrame(preview.left_out, columns=["file", "why"]).map(label), hide_index=True, width="stretch"
            )


# --- The recipe ------------------------------------------------------------------------------------------------------


def choose_recipe() -> dict:
    recipe = {
        "epochs": _slider("Epochs", "epochs", 1, 50, 8, "How often every photo is learned from."),
        "size": st.select_slider(
            "Photo size in pixels",
            SIZES,
            key=links.restore(PAGE, "size", 160, allowed=SIZES, parse=int),
            persist_state="session",
            help="Smaller is faster; larger shows the network more detail.",
        ),
    }
    links.publish(PAGE, size=recipe["size"])
    with st.expander("More settings"):
        recipe |= choose_details()
    return recipe


def choose_details() -> dict:
    """The settings that a first lesson does not need."""
    recipe = {}
    recipe["per_class"] = st.select_slider(
        "Photos of each class",
        (*FEWER, None),
        format_func=lambda number: "all" if number is None else str(number),
        key=links.restore(PAGE, "per_class", None, allowed=(*FEWER, None), parse=int),
        persist_state="session",
        help="Take only a few of each class: how many photos does it need?",
    )
    links.publish(PAGE, per_class=recipe["per_class"])
    recipe["fine_tune_epochs"] = _slider(
        "Fine-tuning epochs",
        "fine",
        0,
        20,
        0,
        "Afterwards the backbone's last layers learn too, very gently. Slow.",
    )
    recipe["augment"] = st.toggle(
        "Augmentation",
        key=links.restore(PAGE, "augment", True, allowed=(True, False), parse=lambda text: text != "False"),
        persist_state="session",
        help="Every photo is also shown turned, zoomed and mirrored a little, so that the network does not "
        "learn the photos by heart.",
    )
    recipe["validation"] = (
        _slider("Photos kept for validation, in %", "validation", 10, 50, 20, "The network never learns from these.")
        / 100
    )
    recipe["learning_rate"] = st.select_slider(
        "Learning rate",
        RATES,
        key=links.restore(PAGE, "rate", TrainingConfig.learning_rate, allowed=RATES, parse=float),
        persist_state="session",
        help="How large one correction is.",
    )
    recipe["dropout"] = (
        _slider("Dropout, in %", "dropout", 0, 80, 20, "This share of the features is hidden at random in each step.")
        / 100
    )
    recipe["seed"] = int(
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key=links.restore(PAGE, "seed", 0, allowed=range(2**31), parse=int),
            persist_state="session",
            help="The same seed gives the same split and the same curves.",
        )
    )
    links.publish(PAGE, seed=recipe["seed"] or None)
    return recipe


def _slider(words: str, name: str, low: int, high: int, default: int, help_text: str) -> int:
    value = st.slider(
        words,
        low,
        high,
        key=links.restore(PAGE, name, default, allowed=range(low, high + 1), parse=int),
        persist_state="session",
        help=help_text,
    )
    links.publish(PAGE, **{name: value if value != default else None})
    return value


def configure(ref: ModelRef, data: str, recipe: dict) -> TrainingConfig:
    """The run as one frozen value; `out` is filled in when it starts."""
    recipe = dict(recipe)
    augmentation = Augmentation() if recipe.pop("augment") else None
    return TrainingConfig(data=data, backbone=ref, out="", augmentation=augmentation, **recipe)


# --- The run ---------------------------------------------------------------------------------------------------------


def start(config: TrainingConfig) -> None:
    config = replace(config, out=str(storage.new_run()))
    job = engine().submit("core.transfer.training:run", config, kind="training")
    run = Path(config.out).name
    training_jobs()[run] = job.id
    st.session_state[RUN] = run
    st.rerun()


def chosen_run() -> str | None:
    """The run on show: the one that this session started, or the one in the link. A closed tab does not end a run."""
    return st.session_state.get(RUN) or st.query_params.get("run")


def job_of(run: str) -> Job | None:
    """The job of this run, while the server knows it."""
    return engine().job(training_jobs().get(run, ""))


def show_run(run: str) -> None:
    links.publish(PAGE, run=run)
    job = job_of(run)
    snapshot = job.snapshot() if job else JobSnapshot("done")
    if not snapshot.over:
        job_panel.watch(job, draw_progress, progress_of=progress_of, stop="Stop")
        return
    job_panel.tell_how_it_ended(snapshot, "Stopped before the last epoch.")
    latest = snapshot.result or snapshot.latest
    draw_progress(latest if isinstance(latest, TrainingSnapshot) else None)
    report = latest.report if isinstance(latest, TrainingSnapshot) else None
    report = report or storage.read_report(storage.folder("runs") / run) if storage.is_run(run) else None
    if report is not None:
        show_report(report)
    elif snapshot.state == "cancelled" and isinstance(latest, TrainingSnapshot) and latest.history:
        wait_for_report(run)
    elif job is None:
        st.info("The run in this link is not on this machine any more.")


def wait_for_report(run: str) -> None:
    """A stopped run still saves its best network, which takes a few seconds."""
    began = st.session_state.setdefault(links.key(PAGE, f"waits for {run}"), time.monotonic())

    @st.fragment(run_every=1.0)
    def look() -> None:
        if storage.read_report(storage.folder("runs") / run) is not None:
            st.rerun()
        if time.monotonic() - began < LONGEST_SAVING:
            st.info("The best network so far is being saved …", icon=":material/hourglass_top:")
        else:
            st.warning("The network of this stopped run could not be saved. Train again to have one.")

    look()


def progress_of(snapshot: TrainingSnapshot) -> Progress:
    if snapshot.phase == "preparing":
        fraction = snapshot.step / snapshot.steps if snapshot.steps else None
        return Progress(snapshot.words + job_panel.time_left(snapshot.seconds_left), fraction)
    done = snapshot.epoch - 1 + snapshot.step / max(1, snapshot.steps) if snapshot.epoch else 0
    fraction = min(1.0, done / max(1, snapshot.epochs)) if snapshot.epochs else None
    return Progress(snapshot.words + job_panel.time_left(snapshot.seconds_left), fraction)


def draw_progress(snapshot: TrainingSnapshot | None) -> None:
    if snapshot is None or not (snapshot.history or snapshot.batch_losses):
        return
    show_figure(
        plots.training_curves(snapshot.history, snapshot.batch_losses, snapshot.epochs),
        "curves",
        "Accuracy and loss by epoch, for training and validation photos",
    )


def show_report(report: TrainingReport) -> None:
    st.subheader("What it has learned", anchor=False)
    right = round(report.validation_accuracy * report.validation_images)
    left, middle, far = st.columns(3)
    left.metric("Validation accuracy", f"{100 * report.validation_accuracy:.0f} %")
    middle.metric("Right answers", f"{right} of {report.validation_images}")
    far.metric(
        "By always saying the same",
        f"{100 * report.majority_accuracy:.0f} %",
        help="What one reaches by always answering the most frequent class. Only what is above it was learned.",
    )
    table, actions = st.columns([3, 2], gap="medium")
    with table:
        show_figure(
            plots.confusion_matrix(report.confusion, report.classes),
            "confusion",
            "Confusion matrix: rows are the true classes, columns what the network said",
        )
    with actions:
        offer_model(report)


def offer_model(report: TrainingReport) -> None:
    path = Path(report.model_path)
    st.markdown(
        f"{report.training_images} photos learned from, {report.validation_images} kept for validation, "
        f"{report.seconds:.0f} s. The backbone {in_markdown(report.backbone)} is {in_markdown(report.origin)}."
    )
    if not path.exists():
        st.info("The file of this network is no longer on this machine. Train it again to have it back.")
        return
    st.download_button(
        "Save the network (.keras)",
        path.read_bytes,
        "model.keras",
        "application/octet-stream",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
    )
    if st.button("See what it sees", icon=":material/grid_view:", width="stretch"):
        links.go(EXPLORER, "explorer", model=str(path))
    if st.button("See what its filters look for", icon=":material/texture:", width="stretch"):
        links.go(VISUALIZER, "visualizer", model=str(path))


main()
