"""One page about the trained ranker: how it learned, how near it came to the best possible, how far to trust it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.evaluate.bootstrap import bootstrap_auc
from friesian_fast.evaluate.page import document, goal_verdict, html_table
from friesian_fast.evaluate.pointwise import calibration, logloss
from friesian_fast.evaluate.svg import line_plot
from friesian_fast.train.files import replacing
from friesian_fast.train.table import read_columns
from friesian_fast.usecases.recsys2021.options import DataDir
from friesian_fast.usecases.recsys2021.tables import optimum_auc, require_preprocessed

GOAL = 0.01
"""How near to the best possible AUC the ranker is to come."""

LABEL = "label"
PREDICT_ROWS = 8192

History = Sequence[dict[str, float]]


@reported
def main(
    data_dir: DataDir,
    model_dir: Annotated[Path, typer.Option("--model_dir", help="What train_wnd wrote.")] = Path("recsys_wnd"),
    out: Annotated[Path, typer.Option("--out", help="The page.")] = Path("training.html"),
) -> None:
    """Write a page with learning curves, the AUC beside the best possible, calibration and speed.

    Example: friesian recsys2021 report --data_dir data/preprocessed --model_dir recsys_wnd --out training.html
    """
    require_preprocessed(data_dir)
    history = _history(model_dir)
    labels, scores = _scored(data_dir, model_dir)
    parts = [*_outcome(labels, scores, optimum_auc(data_dir)), *_learning(history, optimum_auc(data_dir))]
    parts += [*_calibration(labels, scores), *_speed(history)]
    with replacing(out) as partial:
        partial.write_text(document("Training of the Wide & Deep ranker", parts), encoding="utf-8")
    print(f"wrote {out}")


def _history(model_dir: Path) -> History:
    path = model_dir / "ranker.json"
    if not path.is_file():
        raise NotFoundError(f"there is no {path}; run the train_wnd step first")
    history: History = json.loads(path.read_text(encoding="utf-8")).get("history", [])
    if not history:
        raise InvalidInputError(f"{path} says nothing about the epochs; run the train_wnd step again")
    return history


def _scored(data_dir: Path, model_dir: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Labels of the test rows, and what the exported ranker gives them."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model_dir / "ranker.onnx", providers=["CPUExecutionProvider"])
    dtypes = {value.name: "int32" if "int32" in value.type else "float32" for value in session.get_inputs()}
    rows = read_columns(data_dir / "test_parquet", {**dtypes, LABEL: "float32"})
    labels = rows.pop(LABEL)
    starts = range(0, len(labels), PREDICT_ROWS)
    feeds = ({name: column[at : at + PREDICT_ROWS] for name, column in rows.items()} for at in starts)
    return labels, np.concatenate([session.run(["score"], feed)[0] for feed in feeds])


def _outcome(labels: NDArray[np.float32], scores: NDArray[np.float32], best: float | None) -> Iterator[str]:
    found = bootstrap_auc(labels, scores, np.arange(len(labels)))
    rows = [
        ("test rows", f"{len(labels):,}"),
        ("of them positive", f"{labels.mean():.4f}"),
        ("AUC", f"{found.value:.4f}"),
        (f"its {found.confidence:.0%} interval", f"{found.low:.4f} to {found.high:.4f}"),
        ("log loss", f"{logloss(labels, scores):.4f}"),
    ]
    if best is not None:
        # What the chances of the test rows were is not written down, so the difference cannot be resampled.
        told = goal_verdict(found.less(best - GOAL), interval_of="the AUC less the goal, the best taken as fixed,")
        rows.append(("best possible AUC", f"{best:.4f}"))
        rows.append((f"distance to it (goal: at most {GOAL})", f"{best - found.value:.4f}: {told}"))
    yield html_table(["", "value"], rows)
    if best is not None:
        yield _note(
            "The generator drew each label with a chance that it knows; the best possible AUC is that of these chances "
            "on the same test rows. The interval is by drawing test rows with replacement. It is of the AUC alone; "
            "the best possible AUC moves with the rows too, so one of the distance would be narrower."
        )


def _learning(history: History, best: float | None) -> Iterator[str]:
    epochs = [float(epoch) for epoch in range(1, len(history) + 1)]
    yield "<h2>Learning curves</h2>"
    for metric, told in (("auc", "AUC"), ("binary_crossentropy", "log loss")):
        series = {
            name: [(epoch, logs[key]) for epoch, logs in zip(epochs, history, strict=True)]
            for name, key in (("training", metric), ("test", f"val_{metric}"))
        }
        if metric == "auc" and best is not None:
            series["best possible"] = [(epoch, best) for epoch in epochs]
        yield line_plot(series, title=f"{told} by epoch", x_label="epoch", y_label=told, from_zero=False)
    yield _note("Training values are of the rows as they were trained on, dropout included, and so lag behind.")


def _calibration(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> Iterator[str]:
    bins = calibration(labels, scores)
    filled = np.flatnonzero(bins.counts)
    yield "<h2>Calibration</h2>"
    yield line_plot(
        {"test": [(float(bins.predicted[at]), float(bins.observed[at])) for at in filled]},
        title="Calibration",
        x_label="mean predicted probability",
        y_label="share of positives",
        diagonal=True,
    )
    cells = (
        (
            f"{bins.edges[at]:.1f} to {bins.edges[at + 1]:.1f}",
            f"{bins.counts[at]:,}",
            f"{bins.predicted[at]:.4f}",
            f"{bins.observed[at]:.4f}",
        )
        for at in filled
    )
    yield html_table(["predicted", "rows", "mean prediction", "share of positives"], cells)


def _speed(history: History) -> Iterator[str]:
    yield "<h2>Speed</h2>"
    rows = [
        (str(number), f"{logs['rows_per_second']:,.0f}", f"{logs['input_wait']:.1%}")
        for number, logs in enumerate(history, start=1)
    ]
    yield html_table(["epoch", "rows a second", "share of time waiting for rows"], rows)
    yield _note("The first epoch includes the compilation of the model.")


def _note(text: Any) -> str:
    return f'<p class="note">{escape(text)}</p>'


if __name__ == "__main__":
    typer.run(main)
