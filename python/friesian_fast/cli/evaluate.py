"""`friesian evaluate`: measure predictions and write a report that opens without a network."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from friesian_fast._files import replacing
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.evaluate.bootstrap import Interval
from friesian_fast.evaluate.lists import Relevant
from friesian_fast.evaluate.page import html_page
from friesian_fast.evaluate.report import Predictions, Report, make_report
from friesian_fast.release.tables import VectorTable, read_columns, read_vectors


@dataclass(frozen=True, slots=True)
class _Tables:
    """What was read, pyarrow tables without nulls."""

    predictions: Any
    relevant: Any
    history: Any
    vectors: VectorTable | None


def evaluate(
    predictions: Annotated[Path, typer.Option(help="Parquet of user, item, score and, if it has one, label (0 or 1).")],
    relevant: Annotated[Path, typer.Option(help="Parquet of user, item: what each user turned out to want.")],
    out: Annotated[Path, typer.Option(help="Directory that gets report.json and report.html.")] = Path("evaluation"),
    history: Annotated[
        Path | None, typer.Option(help="Parquet of user, item: interactions before the split; for slices and novelty.")
    ] = None,
    item_vectors: Annotated[
        Path | None, typer.Option(help="Parquet of item, prediction (a list of floats); for diversity.")
    ] = None,
    learning_curves: Annotated[
        Path | None, typer.Option(help="JSON of metric: [value after each epoch], as Keras' History.history.")
    ] = None,
    k: Annotated[list[int], typer.Option("-k", min=1, help="Length of list to report; may be repeated.")] = [10, 50],  # noqa: B006
    user_column: Annotated[str, typer.Option(help="Name of the user column in all files.")] = "user",
    item_column: Annotated[str, typer.Option(help="Name of the item column in all files.")] = "item",
    samples: Annotated[int, typer.Option(min=1, help="Bootstrap samples behind each interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Measure ranked lists and single predictions; print a table, write report.json and report.html.

    Every user of the relevant items counts, with predictions or without. Equal scores are ordered by item id.

    Example: friesian evaluate --predictions scored.parquet --relevant test.parquet --out evaluation
    """
    pair = [user_column, item_column]
    labelled = "label" in _column_names(predictions)
    scored = _without_nulls(predictions, [*pair, "score", *(["label"] if labelled else [])])
    id_type = "int64" if pa.types.is_integer(scored[item_column].type) else "string"
    tables = _Tables(
        scored,
        _without_nulls(relevant, pair),
        _without_nulls(history, pair) if history else None,
        read_vectors(item_vectors, item_column, id_type) if item_vectors else None,
    )
    training = _training(learning_curves) if learning_curves else None
    report = make_report(_numbered(tables, *pair), ks=k, samples=samples, seed=seed)
    _write(out / "report.json", json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n")
    _write(out / "report.html", html_page(report, title=f"Evaluation of {predictions.name}", training=training))
    console = Console(highlight=False, soft_wrap=True)
    console.print(_summary(report))
    for note in report.notes:
        console.print(note, markup=False)
    console.print(f"wrote {out / 'report.html'} and {out / 'report.json'}", markup=False)


def _training(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}; save the history of the training there as JSON")
    try:
        curves = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"{path} is not JSON: {error}") from error
    if not isinstance(curves, dict) or not all(isinstance(values, list) and values for values in curves.values()):
        raise InvalidInputError(f"{path} does not map each metric to a list of its value after each epoch")
    for name, values in curves.items():
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            raise InvalidInputError(f"{path}: a value of '{name}' is not a finite number; drop what came after it")
    return curves


def _column_names(path: Path) -> list[str]:
    """Of the Parquet file, or of the first of the directory; none if there is nothing, which reading then names."""
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    try:
        return list(pq.read_schema(files[0]).names) if files else []
    except (OSError, pa.ArrowException):
        return []


def _without_nulls(path: Path, columns: list[str]) -> Any:
    table = read_columns(path, columns)
    for name in columns:
        if table[name].null_count:
            raise InvalidInputError(f"{path}: column '{name}' holds {table[name].null_count} nulls; fill or drop them")
    return table


def _numbered(tables: _Tables, user_column: str, item_column: str) -> Predictions:
    """Ids to numbers in the order of the ids."""
    predictions, relevant, history = tables.predictions, tables.relevant, tables.history
    users = _distinct(user_column, predictions, relevant)
    items = _distinct(item_column, predictions, relevant, *([] if history is None else [history]))

    def pairs(table: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return _numbers(table[user_column], users), _numbers(table[item_column], items)

    user, item = pairs(predictions)
    wanted_user, wanted_item = pairs(relevant)
    _refuse_twice(user, item, users, items, "the predictions")
    _refuse_twice(wanted_user, wanted_item, users, items, "the relevant items")
    user_history = item_history = None
    if history is not None:
        past_user, past_item = pairs(history)
        # What other users did tells how popular an item was, and no more.
        user_history = np.bincount(past_user[past_user >= 0], minlength=len(users))
        item_history = np.bincount(past_item, minlength=len(items))
    return Predictions(
        users=len(users),
        items=len(items),
        user=user,
        item=item,
        score=_floats(predictions, "score"),
        label=_floats(predictions, "label") if "label" in predictions.column_names else None,
        relevant=Relevant.from_pairs(wanted_user, wanted_item, users=len(users)),
        user_history=user_history,
        item_history=item_history,
        vectors=None if tables.vectors is None else _by_number(tables.vectors, items, item),
    )


def _distinct(name: str, *tables: Any) -> Any:
    """The ids of a column of all tables, ascending, as one Arrow array."""
    types = {str(_normal(table[name]).type) for table in tables}
    if len(types) > 1 or types - {"int64", "string"}:
        raise InvalidInputError(
            f"column '{name}' has the types {', '.join(sorted(types))}; it must be of integers in all files, or strings"
        )
    ids = pc.unique(pa.chunked_array([chunk for table in tables for chunk in _normal(table[name]).chunks]))
    return ids.take(pc.sort_indices(ids))


def _normal(column: Any) -> Any:
    """Any integers as int64, any strings as string; others as they are."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_integer(column.type):
        try:
            return column.cast(pa.int64())
        except pa.ArrowException as error:
            raise InvalidInputError(f"an id does not fit int64 ({error}); use smaller ids, or strings") from error
    return column.cast(pa.string()) if pa.types.is_large_string(column.type) else column


def _numbers(column: Any, ids: Any) -> NDArray[np.int64]:
    """Places of a column's ids among `ids`; -1 for those that are not there."""
    found = pc.index_in(_normal(column), value_set=ids)
    numbers: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return numbers


def _refuse_twice(user: NDArray[np.int64], item: NDArray[np.int64], users: Any, items: Any, what: str) -> None:
    order = np.lexsort((item, user))
    user, item = user[order], item[order]
    twice = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    if twice.any():
        at = int(np.argmax(twice))
        who, which = users[user[at]].as_py(), items[item[at]].as_py()
        raise InvalidInputError(f"{what}: user {who!r} has item {which!r} twice; keep each pair once")


def _floats(table: Any, name: str) -> NDArray[np.float64]:
    try:
        values: NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        raise InvalidInputError(f"column '{name}' of the predictions is not of numbers: {error}") from error
    return values


def _by_number(table: VectorTable, items: Any, listed: NDArray[np.int64]) -> NDArray[np.float32]:
    """Vectors in the order of `items`; those never listed may lack one."""
    at = _numbers(items, pa.array(table.ids))
    missing = np.unique(listed)[at[np.unique(listed)] < 0]
    if len(missing):
        raise InvalidInputError(
            f"{len(missing)} predicted items have no vector, such as {items[missing[0]].as_py()!r}; give all of them"
        )
    return np.where((at >= 0)[:, None], table.vectors[at], np.float32(0))


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _summary(report: Report) -> Table:
    table = Table(title=f"{report.counts['users with relevant items']:,} users with relevant items")
    for name in ("metric", "value", "interval"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for name, value in {**report.ranking, **report.pointwise, **report.lists}.items():
        if isinstance(value, Interval):
            table.add_row(name, f"{value.value:.4f}", f"{value.low:.4f} to {value.high:.4f}")
        else:
            table.add_row(name, f"{value:.4f}", "")
    return table
