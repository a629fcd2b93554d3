"""A profile as one HTML page: an overview, then each column with its plot and its most frequent values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape

from friesian_fast.evaluate.page import document, html_table
from friesian_fast.evaluate.svg import histogram_plot
from friesian_fast.feature.sketch import ColumnSketch

_TOP = 10
_WIDEST = 8e307  # the plot's axis must be no longer than a float can be


def profile_page(sketches: Mapping[str, ColumnSketch], types: Mapping[str, str]) -> str:
    """A whole HTML document.

    Parameters
    ----------
    sketches : mapping of str to ColumnSketch
        By column.
    types : mapping of str to str
        By column.
    """
    rows = max((one.rows for one in sketches.values()), default=0)
    parts = [f"<p>{rows:,} rows, {len(sketches)} columns</p>", _overview(sketches, types)]
    for name, one in sketches.items():
        parts += _column(name, types[name], one)
    return document("Profile", parts)


def _overview(sketches: Mapping[str, ColumnSketch], types: Mapping[str, str]) -> str:
    heads = ["column", "type", "nulls", "distinct", "min", "mean", "max"]
    rows = [
        (name, types[name], _share(one.nulls, one.rows), _distinct(one), *map(_number, (one.min, one.mean, one.max)))
        for name, one in sketches.items()
    ]
    return html_table(heads, rows)


def _column(name: str, kind: str, one: ColumnSketch) -> Iterable[str]:
    is_list = kind.partition("<")[0].endswith("list")
    yield f"<h2>{escape(name)}</h2>"
    yield f'<p class="note">{escape(kind)}; {one.nulls:,} of {one.rows:,} null{_notes(one, is_list)}</p>'
    bins = [(max(low, -_WIDEST), min(high, _WIDEST), count) for low, high, count in one.histogram.bins()]
    if bins:
        label = "length of the list" if is_list else name
        yield histogram_plot(bins, title=f"Histogram of {name}", x_label=label, y_label="rows")
    top = [(value, count) for value, count in one.top(_TOP) if count > one.lost]  # else any other may be as frequent
    if top:
        least = "" if one.lost == 0 else "at least "
        yield html_table(
            ["most frequent", "rows", "share"],
            [(value or "(empty)", f"{least}{count:,}", _share(count, one.rows)) for value, count in top],
        )


def _notes(one: ColumnSketch, is_list: bool) -> str:
    notes = "; figures are those of the lists' lengths" if is_list else ""
    notes += f"; {_distinct(one)} distinct" if one.distinct is not None else ""
    return notes + (f"; {one.odd:,} NaN or infinite, which the plot leaves out" if one.odd else "")


def _distinct(one: ColumnSketch) -> str:
    if one.distinct is None:
        return ""
    count, exact = one.distinct
    return f"{count:,}" if exact else f"about {float(f'{count:.3g}'):,.0f}"


def _share(count: int, rows: int) -> str:
    return f"{count / rows:.1%}" if rows else ""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    whole = math.isfinite(value) and (value == int(value) or abs(value) >= 1000) and abs(value) < 1e15
    return f"{value:,.0f}" if whole else f"{value:,.4g}"
