"""Small plots as inline SVG: lines over numbers, bars with intervals by name. No plotting library, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from friesian_fast.evaluate.bootstrap import Interval

# Okabe & Ito's colours, told apart by people with colour-blindness too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9")
_INK, _GRID = "#333333", "#dddddd"
_WIDTH, _HEIGHT = 720, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 16, 52

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values lie in the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (_HEIGHT - _TOP - _BOTTOM)


def line_plot(
    series: Mapping[str, Points],
    *,
    title: str,
    x_label: str,
    y_label: str,
    diagonal: bool = False,
    from_zero: bool = True,
) -> str:
    """Lines through points, one colour and one legend entry each.

    Parameters
    ----------
    series : mapping of str to sequence of (x, y)
        At least one point in all; values are finite.
    title, x_label, y_label : str
        The title is for screen readers; a page shows its own.
    diagonal : bool, default False
        Draw y = x, dashed, over the square from 0 to 1.
    from_zero : bool, default True
        Begin the y axis at 0, for values that are not negative; else just below the least of them.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    points = [point for line in series.values() for point in line]
    xs = [x for x, _ in points]
    low, high = (0.0, 1.0) if diagonal else (min(xs), max(xs))
    if low == high:
        low, high = low - 1, high + 1
    ys = [y for _, y in points]
    heights = [0.0, 1.0] if diagonal else _ticks(0.0 if from_zero else min(ys), max(ys))
    frame = _Frame(low, high, heights[0], heights[-1])
    parts = [_y_axis(frame, y_label), _x_axis(frame, x_label, whole=not diagonal and all(x == round(x) for x in xs))]
    if diagonal:
        parts.append(_line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), _INK, 'stroke-dasharray="4 4"'))
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3" fill="{colour}">'
            f"<title>{escape(name)}: {x:g}, {y:.4f}</title></circle>"
            for x, y in line
        ]
    return _svg(title, [*parts, _legend(list(series))])


def bar_plot(groups: Mapping[str, Mapping[str, Interval]], *, title: str, x_label: str, y_label: str) -> str:
    """Bars side by side, with their intervals as whiskers.

    Parameters
    ----------
    groups : mapping of str to mapping of str to Interval
        Group along the x axis → bar → value; the bars of all groups have the same names. Not negative.
    title, x_label, y_label : str
        As of `line_plot`.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    names = list(next(iter(groups.values())))
    frame = _Frame(0, len(groups), 0, _ticks(0, max(i.high for bars in groups.values() for i in bars.values()))[-1])
    parts = [_y_axis(frame, y_label), _axis_label(frame, x_label)]
    width = (frame.x(1) - frame.x(0)) * 0.8 / len(names)
    for at, (group, bars) in enumerate(groups.items()):
        parts.append(_text((frame.x(at) + frame.x(at + 1)) / 2, _HEIGHT - _BOTTOM + 18, group, "middle"))
        for number, name in enumerate(names):
            left = frame.x(at + 0.1) + number * width
            parts.append(_bar(frame, left, width, bars[name], COLOURS[number % len(COLOURS)], f"{group}, {name}"))
    return _svg(title, [*parts, _legend(names)])


def histogram_plot(bins: Sequence[tuple[float, float, int]], *, title: str, x_label: str, y_label: str) -> str:
    """Bars over numbers.

    Parameters
    ----------
    bins : sequence of (low, high, count)
        At least one, ascending, none overlapping; where there is no bin nothing was counted.
    title, x_label, y_label : str
        As of `line_plot`.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    low, high = bins[0][0], bins[-1][1]
    frame = _Frame(low, high, 0, _ticks(0, max(count for *_, count in bins))[-1])
    parts = [_y_axis(frame, y_label), _x_axis(frame, x_label, whole=False)]
    for left, right, count in bins:
        width, top = frame.x(right) - frame.x(left), frame.y(count)
        parts.append(
            f'<rect x="{frame.x(left):.1f}" y="{top:.1f}" width="{max(width - 1, 1):.1f}" '
            f'height="{frame.y(0) - top:.1f}" fill="{COLOURS[0]}">'
            f"<title>{left:g} to {right:g}: {count:,}</title></rect>"
        )
    return _svg(title, parts)


def _bar(frame: _Frame, left: float, width: float, value: Interval, colour: str, name: str) -> str:
    top, base, middle = frame.y(value.value), frame.y(0), left + width / 2
    told = f"{escape(name)}: {value.value:.4f} ({value.low:.4f} to {value.high:.4f})"
    return (
        f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{max(width - 2, 1):.1f}" height="{base - top:.1f}" '
        f'fill="{colour}"><title>{told}</title></rect>'
        + _line(middle, frame.y(value.low), middle, frame.y(value.high), _INK, 'stroke-width="1.5"')
        + "".join(
            _line(middle - 5, frame.y(end), middle + 5, frame.y(end), _INK, 'stroke-width="1.5"')
            for end in (value.low, value.high)
        )
    )


def _y_axis(frame: _Frame, label: str) -> str:
    parts = []
    for tick in _ticks(frame.y_low, frame.y_high):
        parts.append(
            _line(_LEFT, frame.y(tick), _WIDTH - _RIGHT, frame.y(tick), _INK if tick == frame.y_low else _GRID)
        )
        parts.append(_text(_LEFT - 8, frame.y(tick) + 4, _short(tick), "end"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = f'transform="rotate(-90 16 {middle:.0f})"'
    return "".join([*parts, _text(16, middle, label, "middle", turned)])


def _short(tick: float) -> str:
    """In at most five characters, which is what there is room for beside the axis."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(tick) >= size:
            return f"{tick / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{tick:g}"


def _x_axis(frame: _Frame, label: str, *, whole: bool) -> str:
    ticks = [tick for tick in _ticks(frame.x_low, frame.x_high, float(whole)) if frame.x_low <= tick <= frame.x_high]
    below = _HEIGHT - _BOTTOM
    marks = (
        _line(frame.x(tick), below, frame.x(tick), below + 4, _INK)
        + _text(frame.x(tick), below + 18, f"{tick:g}", "middle")
        for tick in ticks
    )
    return "".join([*marks, _axis_label(frame, label)])


def _axis_label(frame: _Frame, label: str) -> str:
    return _text((frame.x(frame.x_low) + frame.x(frame.x_high)) / 2, _HEIGHT - 12, label, "middle")


def _legend(names: Sequence[str]) -> str:
    left = _WIDTH - _RIGHT + 16
    return "".join(
        f'<rect x="{left}" y="{_TOP + 22 * at}" width="12" height="12" fill="{COLOURS[at % len(COLOURS)]}"/>'
        + _text(left + 18, _TOP + 22 * at + 10, name, "start")
        for at, name in enumerate(names)
    )


def _ticks(low: float, high: float, least_step: float = 0.0) -> list[float]:
    """Round numbers from `low` or below to `high` or above, at most eight of them."""
    size = max(abs(low), abs(high))
    # Values that differ by no more than rounding are one value.
    span = high - low if high - low > 1e-9 * size else size or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    step = max(step, least_step)
    first, last = math.floor(round(low / step, 9)), math.ceil(round(high / step, 9))
    return [float(f"{at * step:.12g}") for at in range(first, max(last, first + 1) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="13" fill="{_INK}">{"".join(parts)}</svg>'
    )
