"""A run's report as one HTML page that opens from the disk, without internet and without scripts. Free of TensorFlow.

Pictures are inside as data, curves are drawn as SVG, and a policy in the page's head forbids the browser to fetch
anything: whatever a folder or a file was called, the page shows its name and does nothing else with it.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from core.archives import clean
from core.transfer import evaluation, settings, svg
from core.transfer.requests import EpochRow, TrainingConfig, TrainingReport

TABLE_MOST = 20  # classes in a confusion matrix; of more the frequent mix-ups are listed
LISTED_MOST = 200  # lines of a list
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Mistake:
    """A photo that was given to the wrong class; `heat` is the photo with Grad-CAM over it. WebP pictures."""

    file: str
    true: str
    said: str
    probability: float
    picture: bytes = field(repr=False)
    heat: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Content:
    """All that the page tells. `samples` are a few WebP pictures of each class, in the order of the classes."""

    when: datetime
    config: TrainingConfig
    report: TrainingReport
    history: tuple[EpochRow, ...]
    samples: tuple[tuple[bytes, ...], ...] = field(default=(), repr=False)
    mistakes: tuple[Mistake, ...] = ()
    notes: tuple[str, ...] = ()


def page(content: Content) -> str:
    """The whole page."""
    title = f"What was learned: {', '.join(map(clean, content.report.classes[:6]))}"
    title += " …" if len(content.report.classes) > 6 else ""
    parts = (
        _accuracy(content),
        _curves(content),
        _classes(content),
        _confusion(content.report),
        _mistakes(content),
        _settings(content),
        _left_out(content.report),
        _notes(content),
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>{_STYLE}{svg.STYLE}</style>
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
<p class="quiet">{_subtitle(content)}</p>
{"".join(parts)}
<footer class="quiet">Made by Layerscope. This page is one file and needs no internet.</footer>
</main>
</body>
</html>
"""


def words(text: str) -> str:
    """A person's words in HTML, letter for letter, whatever the direction of their script."""
    return f"<bdi>{html.escape(clean(text))}</bdi>"


def percent(share: float | None, digits: int = 0) -> str:
    """A share of nothing is "–"."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def _subtitle(content: Content) -> str:
    report = content.report
    stopped = " It was stopped before its last epoch." if report.stopped else ""
    return (
        f"{words(settings.network_words(content.config))}. {report.images:,} photos of {len(report.classes)} classes: "
        f"{report.training_images:,} learned from, {report.validation_images:,} kept for validation. "
        f"{report.epochs} {'epoch' if report.epochs == 1 else 'epochs'} in {_duration(report.seconds)}, "
        f"on {content.when:%d %B %Y at %H:%M}.{stopped}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _section(title: str, body: str, what: str = "") -> str:
    told = f'<p class="quiet">{what}</p>' if what else ""
    return f"<section><h2>{title}</h2>{told}{body}</section>"


def _accuracy(content: Content) -> str:
    report = content.report
    right = round(report.validation_accuracy * report.validation_images)
    share = evaluation.share(right, report.validation_images)
    beats = "above" if share.low > report.majority_accuracy else "not clearly above"
    lines = [
        f'<p class="large"><strong>{percent(share.value)}</strong> of the photos that it had not learned from are '
        f"recognised: {right} of {report.validation_images}.</p>",
        svg.interval(share.value, share.low, share.high, report.majority_accuracy),
        f"<p>There is luck in this number: the true one lies between {percent(share.low)} and {percent(share.high)} "
        "with 95\u00a0% confidence (Wilson's interval). Always answering the most frequent class "
        f"would reach {percent(report.majority_accuracy)}; the network is {beats} that.</p>",
    ]
    if report.test_accuracy is not None:
        test = evaluation.share(round(report.test_accuracy * report.test_images), report.test_images)
        lines.append(
            f"<p>On the {test.total} photos of the test folder, which were never looked at before the end: "
            f"<strong>{percent(test.value)}</strong> ({percent(test.low)} to {percent(test.high)}).</p>"
        )
    return _section("How often it is right", "".join(lines))


def _curves(content: Content) -> str:
    rows = content.history
    if not rows:
        return ""
    tuned = next((row.epoch for row in rows if row.phase == "fine-tuning"), None)
    epochs = [row.epoch for row in rows]
    accuracy = svg.Chart(
        "accuracy in %",
        epochs,
        {
            "training": [100 * row.accuracy for row in rows],
            "validation": [100 * row.validation_accuracy for row in rows],
        },
        top=100.0,
        mark=tuned,
    )
    losses = {"training": [row.loss for row in rows], "validation": [row.validation_loss for row in rows]}
    loss = svg.Chart("loss", epochs, losses, mark=tuned)
    what = "Training: the photos that it learned from. Validation: the others; where the two part, it learns by heart."
    return _section("While it learned", f'<div class="beside">{svg.lines(accuracy)}{svg.lines(loss)}</div>', what)


def _classes(content: Content) -> str:
    report = content.report
    shown = content.samples or ((),) * len(report.classes)
    with_photos = any(shown)
    rows = []
    for score, pictures in zip(_scores(report), shown, strict=True):
        photos = "".join(_picture(each, f"A photo of {score.name}", "small") for each in pictures)
        bars = "".join(f"<td>{_bar(value)}</td>" for value in (score.precision, score.recall, score.f1))
        last = f"<td>{photos}</td>" if with_photos else ""
        rows.append(
            f'<tr><th scope="row">{words(score.name)}</th><td class="number">{score.photos}</td>{bars}{last}</tr>'
        )
    head = ("class", "photos", "precision", "recall", "F1", *(["some of its photos"] if with_photos else []))
    what = (
        "Precision: of the photos that it gave this name, so many are. Recall: of the photos that are, it gave so many "
        "this name. F1 is the mean of both (the harmonic one). All of the validation photos."
    )
    return _section("Class by class", _table(head, rows), what)


def _scores(report: TrainingReport) -> tuple[evaluation.ClassScore, ...]:
    return evaluation.class_scores(np.array(report.confusion), report.classes)


def _bar(share: float | None) -> str:
    width = 0 if share is None else 100 * share
    return f'<div class="bar"><div style="width:{width:.1f}%"></div><span>{percent(share)}</span></div>'


def _confusion(report: TrainingReport) -> str:
    counts = np.array(report.confusion)
    if len(report.classes) > TABLE_MOST:
        return _section("What it mixes up", _mix_ups(report, counts))
    largest = max(1, int(counts.max()))
    rows = []
    for name, line in zip(report.classes, counts, strict=True):
        cells = "".join(_cell(int(count), count / largest) for count in line)
        rows.append(f'<tr><th scope="row">{words(name)}</th>{cells}</tr>')
    head = ("it is \\ it said", *(words(name) for name in report.classes))
    what = "Each line is a class, each column what the network said. Right answers lie on the diagonal."
    return _section("What it mixes up", _table(head, rows, "matrix", escaped=False), what)


def _cell(count: int, share: float) -> str:
    deep = " deep" if share > 0.5 else ""
    return f'<td class="count{deep}" style="background:rgb(37 99 235/{share:.2f})">{count or ""}</td>'


def _mix_ups(report: TrainingReport, counts: np.ndarray) -> str:
    wrong = [(true, said) for true, said in evaluation.mix_ups(counts) if true != said][:TABLE_MOST]
    if not wrong:
        return "<p>Nothing: every validation photo was recognised.</p>"
    lines = "".join(
        f"<li>{words(report.classes[true])} taken for {words(report.classes[said])}: {counts[true, said]} times</li>"
        for true, said in wrong
    )
    return f"<ul>{lines}</ul>"


def _mistakes(content: Content) -> str:
    if not content.mistakes:
        wrong = round((1 - content.report.validation_accuracy) * content.report.validation_images)
        return _section("Its worst mistakes", "<p>It made none.</p>") if not wrong else ""
    cards = "".join(_card(each) for each in content.mistakes)
    seen = any(each.heat for each in content.mistakes)
    heat = " Beside each photo, warm colours show where it looked for its answer (Grad-CAM)." if seen else ""
    what = f"The wrong answers that it was surest of.{heat}"
    return _section("Its worst mistakes", f'<div class="cards">{cards}</div>', what)


def _card(mistake: Mistake) -> str:
    heat = _picture(mistake.heat, "Where the network looked") if mistake.heat else ""
    return (
        f"<figure>{_picture(mistake.picture, f'A photo of {mistake.true}')}{heat}<figcaption>"
        f"{words(mistake.true)}, taken for <strong>{words(mistake.said)}</strong> ({percent(mistake.probability)})"
        f'<br><span class="quiet">{words(mistake.file)}</span></figcaption></figure>'
    )


def _settings(content: Content) -> str:
    rows = [
        f'<tr><th scope="row">{html.escape(name)}</th><td>{words(value)}</td></tr>'
        for name, value in settings.told(content.config).items()
    ]
    return _section("How it was trained", _table(("setting", "value"), rows))


def _left_out(report: TrainingReport) -> str:
    if not report.left_out:
        return ""
    rows = [f"<tr><td>{words(file)}</td><td>{words(why)}</td></tr>" for file, why in report.left_out[:LISTED_MOST]]
    more = len(report.left_out) - LISTED_MOST
    rest = f"<p>… and {more} more</p>" if more > 0 else ""
    count = len(report.left_out)
    summary = f"{count} {'file was' if count == 1 else 'files were'} not used"
    table = _table(("file", "why"), rows)
    return _section("What was left out", f"<details open><summary>{summary}</summary>{table}{rest}</details>")


def _notes(content: Content) -> str:
    notes = [*content.report.notes, *content.notes]
    if not notes:
        return ""
    return _section("Notes", "<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes) + "</ul>")


def _table(head: Sequence[str], rows: Iterable[str], kind: str = "", *, escaped: bool = True) -> str:
    cells = "".join(f'<th scope="col">{html.escape(name) if escaped else name}</th>' for name in head)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _picture(data: bytes, alt: str, kind: str = "") -> str:
    source = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    return f'<img class="{kind}" alt="{html.escape(clean(alt))}" src="{source}">'


_STYLE = """
:root { color-scheme: light dark; --ink: #0f172a; --quiet: #475569; --page: #fff; --line: #cbd5e1; --soft: #f1f5f9;
  --one: #2563eb; --two: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #f1f5f9; --quiet: #a8b3c7; --page: #0b1220; --line: #3b4a66;
  --soft: #18233a; --one: #7aa5ff; --two: #fb923c; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 18px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2rem 0 .5rem; }
.quiet { color: var(--quiet); }
.large { font-size: 1.25rem; } .large strong { font-size: 2rem; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem; } .beside svg { flex: 1 1 420px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: middle; }
thead th { background: var(--soft); }
.number, .count { text-align: right; }
.matrix .count { text-align: center; border: 1px solid var(--line); min-width: 2.5rem; }
.deep { color: #fff; }
.bar { position: relative; min-width: 7rem; background: var(--soft); }
.bar div { position: absolute; inset: 0 auto 0 0; background: var(--one); opacity: .35; }
.bar span { position: relative; padding: 0 .4rem; }
img { max-width: 100%; vertical-align: middle; }
.small { width: 72px; height: 72px; object-fit: cover; margin: 2px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
figure { margin: 0; break-inside: avoid; } figure img { width: 49%; } figure img + img { margin-left: 2%; }
footer { margin-top: 2rem; border-top: 1px solid var(--line); padding-top: .5rem; }
section { break-inside: auto; } h2 { break-after: avoid; } tr { break-inside: avoid; }
@media print { :root { --ink: #000; --quiet: #333; --page: #fff; --line: #999; --soft: #eee; --one: #2563eb;
  --two: #c2410c; } body { font-size: 12pt; } * { print-color-adjust: exact; } }
"""
