"""What the honest parts of a run's results come to, each by a rule that is written here, in a sentence.

Shares are fractions; a difference of 0.02 is two points of a hundred. Free of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.transfer.requests import LearningCurve, Repeated, Shortcut, TrainingConfig, TrainingReport, Unknown

LITTLE = 0.02  # what is less is called little
BETTER = 0.05  # what is no more than this above always saying the same has learned nothing to speak of


@dataclass(frozen=True)
class Verdict:
    """`kind` is one of a few names, for tests and colours; `words` is what a person reads."""

    kind: str
    words: str


def is_head_alone(config: TrainingConfig) -> bool:
    """True where only the head has learned: then heads on the frozen network tell of the run itself."""
    return not config.from_scratch and config.fine_tune_epochs == 0


# --- How much luck is in the split? ----------------------------------------------------------------------------------


def spread_of(accuracies: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (that of a sample, n − 1)."""
    return float(np.mean(accuracies)), float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else 0.0


def luck(found: Repeated, report: TrainingReport, config: TrainingConfig) -> Verdict:
    """Lucky where heads on the run's own split are more than one standard deviation above the mean of the others, and
    by more than `LITTLE`; "unlucky" below; else "fair".

    Heads are compared with heads, so that nothing counts but the split.
    """
    mean, deviation = spread_of(found.accuracies)
    ahead = (found.own if found.own is not None else report.validation_accuracy) - mean
    enough = max(deviation, LITTLE)
    kind = "lucky" if ahead > enough else "unlucky" if ahead < -enough else "fair"
    many = _number(len(found.accuracies))
    reached = f"{percent(mean)} ± {percent(deviation)}"
    if is_head_alone(config):
        own = f"your {percent(report.validation_accuracy)}"
        end = {"lucky": "was partly luck", "unlucky": "was partly bad luck", "fair": "is no matter of luck"}[kind]
        return Verdict(kind, f"On {many} other splits it reaches {reached}: {own} {end}.")
    end = {"lucky": "an easy one", "unlucky": "a hard one", "fair": "a usual one"}[kind]
    own = "" if found.own is None else f", on yours {percent(found.own)}"
    return Verdict(kind, f"A head on the frozen network reaches {reached} on {many} other splits{own}: yours is {end}.")


# --- How many photos are needed? -------------------------------------------------------------------------------------


def needed(found: LearningCurve) -> Verdict:
    """From the mean accuracies at each number of photos, all repeats done.

    "rising": the last doubling (on a logarithmic scale, straight lines between the numbers) brought more than `LITTLE`,
    and more than the standard error of the two means. "enough": it did not; enough is the least number from which on
    all means lie within `LITTLE`. "nothing": even with all, hardly better than always saying the same.
    """
    photos, means = np.array(found.photos), np.array([np.mean(each) for each in found.accuracies])
    if len(photos) < 2:
        return Verdict("too few", "There are too few photos for a curve: take at least five of each class.")
    if means[-1] <= found.majority + BETTER:
        return Verdict(
            "nothing",
            f"Even with all photos it reaches only {percent(means[-1])}; always saying the same gives "
            f"{percent(found.majority)}. More photos of this kind will hardly help.",
        )
    half = max(photos[0], photos[-1] / 2)
    gain = means[-1] - float(np.interp(np.log2(half), np.log2(photos), means))
    if gain > max(LITTLE, _standard_error(found)):
        doubling = f"The last doubling, to {photos[-1]} per class, brought {100 * gain:.0f} points."
        return Verdict("rising", f"It is still rising: take more photos. {doubling}")
    enough = next(n for place, n in enumerate(photos) if np.ptp(means[place:]) <= LITTLE + 1e-9)
    return Verdict("enough", f"From {enough} photos per class on, more photos add little.")


def _standard_error(found: LearningCurve) -> float:
    """Of the difference between the means at the last number and at the one before."""
    errors = [np.std(each, ddof=1) ** 2 / len(each) if len(each) > 1 else 0.0 for each in found.accuracies[-2:]]
    return float(np.sqrt(sum(errors)))


# --- Does it look at the subject? ------------------------------------------------------------------------------------


def shortcut(found: Shortcut) -> Verdict:
    """By how much of what was learned is left without the middle, and without the border.

    Learned is what the accuracy on whole photos is above always saying the same; a part tells if it keeps half of that,
    and is above chance by two standard errors. "background": only the border tells. "everywhere": both do. "subject":
    only the middle does; with a quarter or more left in the border it is "partly". "whole": neither tells alone.
    "nothing": nothing was learned.
    """
    whole, middle, border, chance = found.accuracy, found.without_border, found.without_middle, found.majority
    error = (max(chance * (1 - chance), 0.01) / max(found.tested, 1)) ** 0.5
    learned = whole - chance

    def keeps(accuracy: float, share: float) -> bool:
        return accuracy - chance >= share * learned and accuracy > chance + 2 * error

    same = f"always saying the same: {percent(chance)}"
    if learned <= 2 * error:
        return Verdict(
            "nothing", f"It is right in {percent(whole)} ({same}): too little was learned to ask from where."
        )
    if keeps(border, 0.5) and keeps(middle, 0.5):
        return Verdict(
            "everywhere",
            f"Even without the middle it is right in {percent(border)}, and without the border in {percent(middle)}: "
            "what it goes by is all over the photo. The background tells the classes, or the subject fills the photo.",
        )
    if keeps(border, 0.5):
        return Verdict(
            "background",
            f"Even without the subject it is right in {percent(border)}, but without the border only in "
            f"{percent(middle)}: it recognises the background.",
        )
    if keeps(border, 0.25):
        return Verdict(
            "partly",
            f"Without the middle it is still right in {percent(border)} ({same}): part of what it goes by is in the "
            "background.",
        )
    if keeps(middle, 0.5):
        return Verdict(
            "subject",
            f"Without the border it is still right in {percent(middle)}, without the middle only in {percent(border)} "
            f"({same}): it goes by the subject.",
        )
    return Verdict(
        "whole",
        f"The middle alone gives {percent(middle)}, the border alone {percent(border)} ({same}): it needs both. "
        "Subjects that reach the border are cut by the frame.",
    )


def attention(found: Shortcut) -> Verdict:
    """More, less or as much attention on the border as its area would get by chance (a tenth apart counts as equal)."""
    if not found.on_border:
        return Verdict("none", "In none of these photos does any place speak for what it said.")
    mean = float(np.mean(found.on_border))
    kind = "more" if mean > 1.1 * found.area else "less" if mean < 0.9 * found.area else "as much"
    than = {"more": "more than", "less": "less than", "as much": "about"}[kind]
    return Verdict(
        kind,
        f"{percent(mean)} of its attention (Grad-CAM) lies on the border: {than} the border's share of the area, "
        f"{percent(found.area)}.",
    )


# --- None of these? --------------------------------------------------------------------------------------------------


def let_through(found: Unknown, limit: float) -> tuple[int, int]:
    """How many validation photos, and how many of the other things, lie within `limit`."""
    return tuple(sum(distance <= limit for _, distance in each) for each in (found.known, found.others))


def meter(found: Unknown) -> Verdict:
    """How well distance tells the classes from other things, by the AUROC: 0.9 is "good", 0.7 "fair", less "poor"."""
    kind = "good" if found.auroc >= 0.9 else "fair" if found.auroc >= 0.7 else "poor"
    judged = {"good": "it works well here", "fair": "take it as a hint", "poor": "it cannot be trusted here"}[kind]
    return Verdict(
        kind,
        f"A photo of something else lies farther away than one of the classes in {percent(found.auroc)} of all pairs "
        f"(AUROC {found.auroc:.2f}): {judged}.",
    )


def percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def _number(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)
