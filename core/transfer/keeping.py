"""What a run keeps on disk while it is at work, so that nothing is lost whatever happens to its process."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from core import storage
from core.errors import TooLarge, UserError
from core.transfer import attempts, checkpoints
from core.transfer.checkpoints import Checkpoint
from core.transfer.datasets import Splits
from core.transfer.loop import LoopState
from core.transfer.requests import TrainingConfig
from core.transfer.telling import Teller

NO_ROOM = (
    "No room for a checkpoint after epoch {epoch}: should the run be interrupted, what it learns from here on is lost. "
    "Make room on the disk."
)
COPIES = 3  # of the weights: those that learn, their best so far, and what the optimiser remembers


class Keeper:
    """The folder of one run at work. After every epoch all that was learned is there; what can be lost at most is the
    epoch under way. With `writes=False` it is only read, for another process writes."""

    def __init__(self, config: TrainingConfig, teller: Teller, *, writes: bool):
        self.folder, self._asked, self._teller, self._writes = Path(config.out), config, teller, writes
        self._checkpoint: Checkpoint | None = None
        self._attempt = attempts.Attempt(config.batch_size)
        self._photos, self._warning = "", ""

    @property
    def config(self) -> TrainingConfig:
        """What is asked for, with as many photos at a time as the memory has allowed so far."""
        return replace(self._asked, batch_size=self._attempt.batch_size)

    @property
    def start(self) -> LoopState | None:
        """Where the loop goes on."""
        if self._checkpoint is None:
            return None
        facts = self._checkpoint.state
        scores = {name: tuple(facts[name]) if facts[name] else None for name in ("score", "phase_score")}
        return LoopState(**{**facts, **scores}, arrays=self._checkpoint.arrays)

    def begin(self) -> None:
        """Find what an earlier process has left. Raises `UserError` where nothing can be written."""
        try:
            self._checkpoint = checkpoints.read(self.folder, self._asked)
        except checkpoints.Damaged:
            self._teller.note("What had been kept of an earlier attempt could not be read, so the run began anew.")
        epoch, size = 0, self._asked.batch_size
        if self._checkpoint is not None:
            self._teller.go_on(self._checkpoint)
            epoch, size = self._checkpoint.told.epoch, self._checkpoint.batch_size
        self._attempt = attempts.Attempt(size)
        if self._writes:
            self._attempt, halved = attempts.begin(self.folder, size, epoch)
            if halved:
                self._teller.note("Its process was killed twice in one epoch, as happens where memory is short.")
        elif (before := attempts.read(self.folder)) is not None:
            self._attempt = replace(self._attempt, batch_size=min(size, before.batch_size))
        if self._attempt.batch_size < self._asked.batch_size:
            self._teller.note(f"{self._asked.batch_size} photos at a time need too much memory. {self._now()}")

    def confirm(self, splits: Splits) -> None:
        """Now that the photos are read: go on only with the same ones."""
        self._photos = checkpoints.digest_of_photos(splits.dataset.digests, splits.training, splits.validation)
        if self._checkpoint is None:
            return
        if self._checkpoint.data != self._photos:
            self.begin_anew("The photos have changed since the run was stopped, so it began anew.", splits)
            return
        epoch, epochs = self._checkpoint.told.epoch, self._checkpoint.told.epochs
        self._teller.note(f"It went on after epoch {epoch} of {epochs}.")

    def begin_anew(self, why: str, splits: Splits) -> None:
        """What was kept is of no use."""
        self._checkpoint = None
        self._teller.forget()
        self._teller.watch(splits)
        self._teller.note(why)

    def check_room(self, model: keras.Model) -> None:
        """Raises `UserError` where there will be no room for the results."""
        needs = COPIES * sum(int(np.prod(weight.shape)) * 4 for weight in model.weights) + 10 * 1000**2
        free = storage.free_bytes(self.folder)
        if self._writes and needs > free:
            raise UserError(
                f"The disk with {self.folder} is too full to train there: about {needs / 1e6:,.0f} MB are needed, "
                f"{free / 1e6:,.0f} MB are free. Make room there, or choose a smaller network."
            )

    def epoch_ended(self, state: LoopState) -> None:
        """Keep all that was learned. Where there is no room, the training goes on, and says so."""
        if not self._writes:
            return
        facts = {name: value for name, value in vars(state).items() if name != "arrays"}
        told = self._teller.told()
        checkpoint = Checkpoint(
            told, self._photos, self._attempt.batch_size, self._teller.per_photo, facts, state.arrays
        )
        try:
            checkpoints.write(self.folder, self._asked, checkpoint)
        except (UserError, OSError):
            if not self._warning:  # the epochs after this one say nothing new
                self._warning = NO_ROOM.format(epoch=told.epoch)
                self._teller.note(self._warning)
            return
        if self._warning:
            self._teller.take_back(self._warning)
            self._warning = ""

    def too_large(self, error: Exception, devices: int) -> TooLarge | UserError:
        """What to raise when memory has run out: another process tries with half as many photos at a time."""
        size = self._attempt.batch_size
        if self._writes and size > 1 and size // 2 % devices == 0:
            self._attempt = attempts.halve(self._attempt)
            return TooLarge(f"{size} photos at a time need too much memory. {self._now()}")
        kept = " What was learned in the epochs before is kept." if self._teller.history else ""
        photos = "1 photo" if size == 1 else f"{size} photos"
        return UserError(
            f"There is not enough memory for even {photos} of {self._asked.size} pixels at a time. "
            f"Choose a smaller photo size or a smaller network.{kept}"
        )

    def done(self) -> None:
        """The run has ended by itself: nothing is left to go on with."""
        if self._writes:
            with contextlib.suppress(OSError):
                checkpoints.remove(self.folder)
        self._attempt = attempts.Attempt(self._asked.batch_size)

    def end(self) -> None:
        """This process leaves, whatever the reason."""
        if self._writes:
            attempts.end(self.folder, self._attempt, self._asked.batch_size)

    def _now(self) -> str:
        return f"The batch was halved to {self._attempt.batch_size}."
