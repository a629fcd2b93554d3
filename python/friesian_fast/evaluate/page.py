"""The report as one HTML file: styles and plots inside, nothing fetched, no script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from friesian_fast.evaluate.bootstrap import Interval
from friesian_fast.evaluate.pointwise import Calibration
from friesian_fast.evaluate.report import Report
from friesian_fast.evaluate.svg import bar_plot, line_plot

_STYLE = """
body { font: 16px/1.5 sans-serif; color: #333; background: #fff; max-width: 800px; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2em }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .8em; border-bottom: 1px solid #ddd }
th { text-align: left } td { text-align: right; font-variant-numeric: tabular-nums } svg { width: 100%; height: auto }
.note { color: #666 }
"""


def html_page(
    report: Report, *, title: str = "Evaluation", training: Mapping[str, Sequence[float]] | None = None
) -> str:
    """Lay out a report.

    Parameters
    ----------
    report : Report
    title : str, default "Evaluation"
    training : mapping of str to sequence of float, optional
        Metric → value after each epoch, for learning curves; ``val_loss`` is drawn beside ``loss``.

    Returns
    -------
    str
        A whole HTML document.
    """
    parts = [html_table(["", "count"], [(k, f"{v:,}") for k, v in report.counts.items()])]
    parts += _ranking(report)
    if report.lists:
        parts += [
            "<h2>What the lists show</h2>",
            html_table(["", "value"], [(k, f"{v:,.4f}") for k, v in report.lists.items()]),
        ]
    for kind, slices in report.slices.items():
        parts += _slice(kind, slices)
    if report.pointwise:
        rows = [(name, *_cells(value)) for name, value in report.pointwise.items()]
        parts += ["<h2>Single predictions</h2>", html_table(["metric", "value", "interval"], rows)]
    if report.bins is not None:
        parts += _calibration(report.bins)
    parts += _learning(training or {})
    parts += [f'<p class="note">{escape(note)}</p>' for note in report.notes]
    return document(title, parts)


def goal_verdict(margin: Interval, *, interval_of: str = "the difference") -> str:
    """Whether a goal was reached, and whether chance may have decided that.

    Parameters
    ----------
    margin : Interval
        What was found less what is asked for: at least 0 reaches the goal.
    interval_of : str, default "the difference"
        What the interval is of, for the text.
    """
    told = "reached" if margin.value >= 0 else "missed"
    interval = f"the {100 * margin.confidence:.0f} % interval of {interval_of}"
    if margin.includes_zero:
        return f"{told}, but within chance ({interval} includes 0)"
    return f"{told}; {interval} excludes 0"


def document(title: str, parts: Iterable[str]) -> str:
    """A whole HTML document: the title as its heading, then the parts, which are HTML themselves."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join([f"<h1>{escape(title)}</h1>", *parts])
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def _ranking(report: Report) -> list[str]:
    confidence = next(iter(report.ranking.values())).confidence
    plot = line_plot(
        {name: [(float(k), value) for k, value in curve] for name, curve in report.curves.items()},
        title="Ranking metrics over the length of the list",
        x_label="k, length of the list",
        y_label="mean over users",
    )
    rows = [(name, *_cells(value)) for name, value in report.ranking.items()]
    return [
        "<h2>Ranked lists</h2>",
        plot,
        html_table(["metric", "value", f"{confidence:.0%} interval"], rows),
        '<p class="note">Means over the users with relevant items; intervals by drawing users with replacement.</p>',
    ]


def _slice(kind: str, slices: dict[str, dict[str, Interval]]) -> list[str]:
    title = kind.capitalize()
    plot = bar_plot(slices, title=title, x_label=kind, y_label="mean over users")
    rows = [(name, metric, *_cells(value)) for name, metrics in slices.items() for metric, value in metrics.items()]
    return [f"<h2>{escape(title)}</h2>", plot, html_table(["slice", "metric", "value", "interval"], rows)]


def _calibration(bins: Calibration) -> list[str]:
    filled = np.flatnonzero(bins.counts)
    plot = line_plot(
        {"predictions": [(float(bins.predicted[at]), float(bins.observed[at])) for at in filled]},
        title="Calibration",
        x_label="mean predicted probability",
        y_label="share of positives",
        diagonal=True,
    )
    rows = [
        (
            f"{bins.edges[at]:.2f} to {bins.edges[at + 1]:.2f}",
            f"{bins.counts[at]:,}",
            f"{bins.predicted[at]:.4f}",
            f"{bins.observed[at]:.4f}",
        )
        for at in filled
    ]
    return ["<h2>Calibration</h2>", plot, html_table(["bin", "rows", "predicted", "observed"], rows)]


def _learning(training: Mapping[str, Sequence[float]]) -> list[str]:
    """One plot for each metric."""
    parts = ["<h2>Learning curves</h2>"] if training else []
    for metric in dict.fromkeys(name.removeprefix("val_") for name in training):
        series = {
            name: [(float(epoch), value) for epoch, value in enumerate(training[name], 1)]
            for name in (metric, f"val_{metric}")
            if name in training
        }
        parts.append(line_plot(series, title=f"{metric} by epoch", x_label="epoch", y_label=metric, from_zero=False))
    return parts


def _cells(value: Interval | float) -> tuple[str, str]:
    if isinstance(value, Interval):
        return f"{value.value:.4f}", f"{value.low:.4f} to {value.high:.4f}"
    return f"{value:.4f}", ""


def html_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A ``<table>`` of texts; the first cell of each row is its heading."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
