"""What the views of the Transfer Learning Trainer share: what is being prepared, and short work for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from core import runs
from core.engine import Job, Kind
from core.errors import UserError
from core.transfer.requests import TrainingConfig
from pages.shared import choices, links, visitors
from pages.shared.controls import show_error, wait_for
from pages.shared.resources import engine, training_jobs
from pages.shared.viewing import submit

PAGE = "trainer"
VIEWS = {"photos": "Photos", "recipe": "Recipe", "training": "Training", "results": "Results", "runs": "Runs"}
BUSY = "A run of yours is at work. It is shown under Training, where you can stop it."

choose_one = partial(choices.choose_one, PAGE)
choose_number = partial(choices.choose_number, PAGE)


@dataclass(frozen=True)
class Bench:
    """What the views stand on: the run that would start now, and the run on show.

    `config.data` is empty where no photos are chosen yet; `run` is the name of the run on show, as links say it.
    """

    config: TrainingConfig
    run: str | None


def key(name: str) -> str:
    return links.key(PAGE, name)


def ask(task: str, request: Any, words: str, kind: Kind = "interactive"):
    """The result of short work; equal requests are computed once, for everybody. `kind="study"` may take longer."""
    return wait_for(submit(task, request, kind=kind), words)


def turn_to(view: str) -> None:
    """Show another view of this page; only from a callback or before `st.rerun()`."""
    st.session_state[key("turn to")] = view


def chosen_run() -> str | None:
    """The run on show: the one that this session started or chose, or the one in the link, which may be none at all:
    `runs.find` knows."""
    run = st.session_state.get(key("run")) or st.query_params.get("run") or None
    visitors.follow_link(run)
    return run


def show_run(name: str | None) -> None:
    """From now on this run is on show, and in the page's link."""
    st.session_state[key("run")] = name
    links.publish(PAGE, run=name)


def job_of(run: str | None) -> Job | None:
    """The job that trains this run, while the server knows it."""
    return engine().job(training_jobs().get(run, "")) if run else None


def is_running(run: str | None) -> bool:
    job = job_of(run)
    return job is not None and not job.snapshot().over


def busy() -> str | None:
    """The name of a run of this person's that is waiting or at work."""
    return next((run for run in st.session_state.get(key("own runs"), ()) if is_running(run)), None)


def start(config: TrainingConfig, run: Path) -> None:
    """Have the run in the folder `run` trained, or go on with it, and show it. A closed tab does not end it."""
    job = submit("core.transfer.training:run", config, kind="training")
    training_jobs()[run.name] = job.id
    st.session_state[key("own runs")] = [*st.session_state.get(key("own runs"), ()), run.name]
    show_run(run.name)


def begin(config: TrainingConfig) -> None:
    """A new run of its own, kept from its first moment on; says in a sentence where that is not possible."""
    run = None
    try:
        run = runs.new_run()
        visitors.begin_run(run.name)
        backbone = runs.keep_backbone(run, config.backbone)
        config = replace(config, data=runs.keep_photos(run, config.data), backbone=backbone, out=str(run))
        runs.write_config(run, config)
    except UserError as error:
        if run is not None:
            runs.delete(run.name)
        show_error(error)
        return
    start(config, run)
    turn_to("training")
    st.rerun()
