"""What a run of bench_ann.py leaves: a plot for each batch size, and the numbers behind the plots and the table."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from friesian_fast.evaluate.svg import line_plot

PACKAGES = ("numpy", "faiss-cpu", "hnswlib", "usearch", "scann", "scalable-vs")

Row = dict[str, Any]  # point; recall; seconds: seconds a query by batch size


def write(folder: Path, name: str, settings: dict[str, Any], rows: Sequence[Row], best: dict[str, Any]) -> None:
    """`name`.json, and `name`_batch1.svg and so on."""
    batches = tuple(rows[0]["seconds"]) if rows else ()
    for batch in batches:
        (folder / f"{name}_batch{batch}.svg").write_text(_curves(rows, batch))
    drawn = [row for row in rows if any(row in front(rows, batch) for batch in batches)]
    head = json.dumps({**settings, "processor": _processor(), "packages": _packages(), "best": best}, indent=1)
    points = ",\n  ".join(json.dumps(_told(row)) for row in drawn)
    (folder / f"{name}.json").write_text(f'{head[:-2]},\n "points": [\n  {points}\n ]\n}}\n')  # a line a point


def front(rows: Sequence[Row], batch: int) -> list[Row]:
    """The settings of each method that no other of its own beats, from the best recall down."""
    fastest: dict[str, float] = {}
    kept = []
    for row in sorted(rows, key=lambda row: (-row["recall"], row["seconds"][batch])):
        seconds = row["seconds"][batch]
        if seconds < fastest.get(row["point"].method, math.inf):
            fastest[row["point"].method] = seconds
            kept.append(row)
    return kept


def _curves(rows: Sequence[Row], batch: int) -> str:
    series: dict[str, list[tuple[float, float]]] = {}
    for row in front(rows, batch):
        height = math.log10(row["seconds"][batch] * 1e6)
        series.setdefault(row["point"].method, []).append((row["recall"], height))
    label = f"log10 of µs a query, batch {batch}"
    return line_plot(series, title="Recall and time", x_label="recall@100", y_label=label, from_zero=False)


def _told(row: Row) -> dict[str, Any]:
    return {
        "method": row["point"].method,
        "setting": row["point"].setting,
        "recall": round(row["recall"], 4),
        "us": {batch: round(seconds * 1e6, 1) for batch, seconds in row["seconds"].items()},
    }


def _processor() -> str:
    fields = dict(re.findall(r"^([^\t\n]+)\t*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    return f"{fields['model name']}, family {fields['cpu family']}, model {fields['model']}"


def _packages() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
