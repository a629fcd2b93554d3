"""The report as a picture: one SVG, or the same in an HTML page; neither needs a network or a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

Point = tuple[float, float]

_WIDTH, _HEIGHT = 860, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 45
_COLOURS = {
    "latency": "#1f5fa8",
    "p50": "#1f5fa8",
    "p99": "#c2571a",
    "answers a second": "#2f7d4f",
    "errors": "#b3202c",
}
_NINES = (0, 50, 90, 99, 99.9, 99.99, 99.999)


class Axis(NamedTuple):
    """Of values from `low` to `high`, by their logarithm if `log`; `ticks` are values and their labels."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def place(self, value: float) -> float:
        """From 0 at the low end to 1 at the high end."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self.low)))
        return (value - low) / (high - low) if high > low else 0.5


def svg_of(found: dict[str, Any]) -> str:
    """Latency distribution, latency over time, rate over time."""
    charts = [_distribution(found), _latency_over_time(found), _rate_over_time(found)]
    body = "\n".join(
        f'<g transform="translate(0,{number * _HEIGHT})">{chart}</g>' for number, chart in enumerate(charts)
    )
    height = _HEIGHT * len(charts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def html_of(found: dict[str, Any], rows: Sequence[tuple[str, str]]) -> str:
    """A page with the terminal's table above the charts."""
    cells = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    notes = "".join(f"<p><b>{escape(text)}</b></p>" for text in found["warnings"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>friesian loadtest</title>\n'
        "<style>body{font-family:sans-serif;margin:2em;color:#222;background:#fff}"
        "th{text-align:left;font-weight:normal;padding-right:2em}td{text-align:right}</style></head>\n"
        f"<body><h1>friesian loadtest</h1>\n<table>\n{cells}\n</table>\n{notes}\n{svg_of(found)}</body></html>\n"
    )


def _distribution(found: dict[str, Any]) -> str:
    curve = found["curve"]
    most = curve[-1][0] if curve else 99.9
    nines = [percent for percent in _NINES if percent <= most]
    x = Axis("percentile", 0, _nines(most), [(_nines(percent), f"{percent:g}") for percent in nines])
    y = _log_axis("latency, ms", [value for _, value in curve])
    return _chart("Latency distribution", x, y, {"latency": [(_nines(percent), value) for percent, value in curve]})


def _latency_over_time(found: dict[str, Any]) -> str:
    lines = {
        name: [(slot["at_s"], slot[name]) for slot in found["over_time"] if slot[name] is not None]
        for name in ("p50", "p99")
    }
    y = _log_axis("latency, ms", [value for line in lines.values() for _, value in line])
    return _chart("Latency over time, by when requests were due", _time_axis(found), y, lines)


def _rate_over_time(found: dict[str, Any]) -> str:
    slots = found["over_time"]
    width = found["plan"]["duration_s"] / len(slots)
    lines = {
        "answers a second": [(slot["at_s"], slot["rate"]) for slot in slots],
        "errors": [(slot["at_s"], slot["errors"] / width) for slot in slots],
    }
    high = max(value for line in lines.values() for _, value in line) * 1.1 or 1.0
    return _chart("Rate over time", _time_axis(found), Axis("a second", 0, high, _even_ticks(high)), lines)


def _chart(title: str, x: Axis, y: Axis, lines: dict[str, list[Point]]) -> str:
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + width * x.place(value)

    def down(value: float) -> float:
        return _TOP + height * (1 - y.place(value))

    parts = [f'<text x="{_LEFT}" y="20" font-size="15">{title}</text>']
    for value, label in x.ticks:
        parts.append(f'<path d="M{across(value):.1f} {_TOP}v{height}" stroke="#ddd"/>')
        parts.append(f'<text x="{across(value):.1f}" y="{_TOP + height + 16}" text-anchor="middle">{label}</text>')
    for value, label in y.ticks:
        parts.append(f'<path d="M{_LEFT} {down(value):.1f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{down(value) + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{x.title}</text>')
    parts.append(
        f'<text transform="translate(16,{_TOP + height / 2}) rotate(-90)" text-anchor="middle">{y.title}</text>'
    )
    for number, (name, points) in enumerate(lines.items()):
        at = " ".join(f"{across(first):.1f},{down(second):.1f}" for first, second in points)
        parts.append(f'<polyline points="{at}" fill="none" stroke="{_COLOURS[name]}" stroke-width="1.8"/>')
        where = _WIDTH - _RIGHT - 140 * (len(lines) - 1 - number)
        parts.append(f'<text x="{where}" y="30" text-anchor="end" fill="{_COLOURS[name]}">{name}</text>')
    return "\n".join(parts)


def _nines(percent: float) -> float:
    """90, 99 and 99.9 at equal distances."""
    return -math.log10(max(1 - percent / 100, 1e-12))


def _time_axis(found: dict[str, Any]) -> Axis:
    duration = found["plan"]["duration_s"]
    return Axis("seconds", 0, duration, _even_ticks(duration))


def _log_axis(title: str, values: Sequence[float]) -> Axis:
    """Over whole steps of 1, 2, 5, 10."""
    steps = [step * 10.0**power for power in range(-4, 7) for step in (1, 2, 5)]
    least, most = (min(values), max(values)) if values else (1.0, 10.0)
    low = max((step for step in steps if step <= least), default=steps[0])
    high = min((step for step in steps if step >= most and step > low), default=steps[-1])
    shown = [step for step in steps if low <= step <= high]
    return Axis(title, low, high, [(step, f"{step:g}") for step in shown], log=True)


def _even_ticks(high: float) -> list[tuple[float, str]]:
    """From five to ten of them."""
    power = 10.0 ** math.floor(math.log10(high))
    step = next(part * power for part in (0.1, 0.2, 0.5, 1.0) if high / (part * power) <= 10)
    return [(number * step, f"{number * step:g}") for number in range(int(high / step) + 1)]
