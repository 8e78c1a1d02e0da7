"""The few figures of the report, drawn as SVG: they need no script, and print."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 40, 46
TICKS = 5

STYLE = """
svg { width: 100%; height: auto; font: 16px system-ui, sans-serif; fill: var(--ink); }
svg .axis { stroke: var(--line); stroke-width: 1; fill: none; }
svg .one { stroke: var(--one); fill: none; stroke-width: 3; } svg .two { stroke: var(--two); fill: none;
  stroke-width: 3; } svg .dot.one { fill: var(--one); } svg .dot.two { fill: var(--two); }
svg .range { stroke: var(--one); stroke-width: 10; stroke-linecap: butt; opacity: .4; }
svg .mark { stroke: var(--quiet); stroke-width: 2; stroke-dasharray: 4 4; fill: none; }
"""


@dataclass(frozen=True)
class Chart:
    """Curves over whole numbers; the vertical axis begins at 0 and ends at `top`, or above the largest value. `mark` is
    where fine-tuning begins."""

    title: str
    x: Sequence[int]
    curves: Mapping[str, Sequence[float]]
    top: float | None = None
    mark: int | None = None


def lines(chart: Chart) -> str:
    """The chart, its curves named above it and with every value on hover."""
    finite = [value for values in chart.curves.values() for value in values if math.isfinite(value)]
    step = nice_step((chart.top or max(finite, default=1.0)) or 1.0)
    top = chart.top or step * math.ceil(max(finite, default=1.0) / step) or step
    first, last = min(chart.x), max(chart.x)

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (0.5 if first == last else (x - first) / (last - first))

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(y / top, 0.0), 1.0)

    parts = [_horizontal(top, step, down), _numbers_below(chart.x, across)]
    if chart.mark is not None:
        x = across(chart.mark - 0.5) if chart.mark > first else across(first)
        parts.append(f'<path class="mark" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{HEIGHT - BOTTOM - 8}" text-anchor="end">fine-tuning →</text>')
    for place, (name, values) in enumerate(chart.curves.items()):
        kind = ("one", "two")[place % 2]
        at = [(across(x), down(y), x, y) for x, y in zip(chart.x, values, strict=True) if math.isfinite(y)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, *_ in at)
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        parts += [_dot(kind, name, *point) for point in at]
        x = WIDTH - RIGHT - 250 + 130 * place
        parts.append(f'<path class="{kind}" d="M{x} 16h22"/><text x="{x + 28}" y="22">{html.escape(name)}</text>')
    parts.append(f'<text x="4" y="22" font-weight="600">{html.escape(chart.title)}</text>')
    parts.append(f'<text x="{(WIDTH + LEFT) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">epoch</text>')
    return _svg(WIDTH, HEIGHT, f"{chart.title} by epoch", "".join(parts))


def interval(value: float, low: float, high: float, baseline: float) -> str:
    """Shares between 0 and 1 on one line: a value, the range about it, and what there is to beat."""
    width, height, y = 900, 96, 44

    def across(share: float) -> float:
        return 20 + (width - 60) * share

    ticks = "".join(
        f'<path class="axis" d="M{across(share):.1f} {y + 10}v8"/>'
        f'<text x="{across(share):.1f}" y="{y + 36}" text-anchor="middle">{100 * share:.0f} %</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    x = across(baseline)
    anchor = "start" if baseline < 0.5 else "end"
    return _svg(
        width,
        height,
        f"Accuracy {100 * value:.0f} %, between {100 * low:.0f} % and {100 * high:.0f} %; "
        f"always the same answer: {100 * baseline:.0f} %",
        f'<path class="axis" d="M{across(0):.1f} {y + 10}H{across(1):.1f}"/>{ticks}'
        f'<path class="range" d="M{across(low):.1f} {y}H{max(across(high), across(low) + 2):.1f}"/>'
        f'<circle class="dot one" cx="{across(value):.1f}" cy="{y}" r="8"/>'
        f'<path class="mark" d="M{x:.1f} {y - 22}V{y + 18}"/>'
        f'<text x="{x:.1f}" y="{y - 27}" text-anchor="{anchor}">always the most frequent class</text>',
    )


def nice_step(top: float) -> float:
    """The distance of about `TICKS` marks from 0 to `top`: 1, 2 or 5 times a power of ten."""
    rough = top / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _horizontal(top: float, step: float, down) -> str:
    parts = []
    for place in range(round(top / step) + 1):
        y = down(place * step)
        parts.append(f'<path class="axis" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{place * step:.4g}</text>')
    return "".join(parts)


def _numbers_below(numbers: Sequence[int], across) -> str:
    every = max(1, math.ceil(len(numbers) / 10))
    return "".join(
        f'<text x="{across(number):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{number}</text>'
        for number in numbers[::every]
    )


def _dot(kind: str, name: str, x: float, y: float, number: int, value: float) -> str:
    words = f"epoch {number}, {name}: {value:.4g}"
    return f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{html.escape(words)}</title></circle>'


def _svg(width: int, height: int, words: str, body: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(words)}">{body}</svg>'
