"""Train the two towers and the ranker, measure both on the month after the split, write vectors and models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from friesian_fast._files import replacing
from friesian_fast.cli.errors import reported
from friesian_fast.release.tables import read_columns
from friesian_fast.spec import FeatureSpec
from friesian_fast.train.files import save_json
from friesian_fast.train.runtime import use_cores
from friesian_fast.usecases.online_retail.evaluate import RECALL_K, best, both_ways, pair_matrix, truth_of
from friesian_fast.usecases.online_retail.prepare import LEARN_FROM

if TYPE_CHECKING:
    from friesian_fast.usecases.online_retail.retrieval import RetrievalSettings

ONNX_CHECK_ROWS = 2000
CANDIDATES = 200  # what the ranker learns to order
_PAIR = ["user_id", "item_id"]
PAIRS = {
    "purchases": [*_PAIR, "time"],
    "recent": _PAIR,
    "learn_purchases": _PAIR,
    "test": [*_PAIR, "label"],
    "test_purchases": _PAIR,
}
Vectors = tuple[NDArray[np.float32], NDArray[np.float32]]

console = Console(highlight=False, soft_wrap=True)


@reported
def main(
    data_dir: Annotated[Path, typer.Option("--data_dir", help="What prepare wrote.")] = Path("prepared"),
    model_dir: Annotated[Path, typer.Option("--model_dir", help="Gets vectors, models and metrics.")] = Path("models"),
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of the two towers.")] = 6,
    ranker_epochs: Annotated[int, typer.Option("--ranker_epochs", min=1, help="Of the ranker.")] = 2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the first weights and the order of the examples.")] = 0,
    cores: Annotated[
        int | None, typer.Option("--executor_cores", min=1, help="Threads; all cores if left out.")
    ] = None,
) -> None:
    """Train retrieval and ranking; print how the lists compare with simple baselines.

    Example: friesian online_retail train --data_dir prepared --model_dir models
    """
    spec = FeatureSpec.load(data_dir / "meta" / "spec.json")
    tables = _read_tables(data_dir, spec)
    use_cores(cores)
    from friesian_fast.usecases.online_retail.retrieval import RetrievalSettings, train_towers

    settings = RetrievalSettings(epochs=epochs, seed=seed)
    vectors = train_towers(spec, tables["user"], tables["item"], tables["purchases"], settings, console.print)
    ranker = _train_ranker(spec, tables, vectors, settings, ranker_epochs)
    aucs = measure_auc(spec, tables, vectors, ranker)
    metrics = measure(spec, tables, vectors, ranker)
    _save(spec, tables, vectors, ranker, model_dir, aucs, metrics)
    console.print(_table(metrics))
    console.print(
        f"Ranker AUC on the month after the split: {aucs['auc']:.4f} on the top {CANDIDATES} retrieved, "
        f"{aucs['auc_sampled']:.4f} against sampled non-purchases"
    )


def _save(
    spec: FeatureSpec,
    tables: Mapping[str, pd.DataFrame],
    vectors: Vectors,
    ranker: Any,
    model_dir: Path,
    aucs: Mapping[str, float],
    metrics: Mapping[str, Mapping[str, float]],
) -> None:
    """Write vectors and model; ``ranker.json`` comes last, so that without it the directory is not complete."""
    from friesian_fast.train.export import export_onnx, framework_versions
    from friesian_fast.usecases.online_retail.ranking import input_rows

    report = model_dir / "ranker.json"
    report.unlink(missing_ok=True)
    for name, values in zip(("user", "item"), vectors, strict=True):
        _write_vectors(model_dir / f"{name}_ebd.parquet", f"{name}_id", tables[name], values)
    users, items = tables["user"], tables["item"]
    rows = input_rows(spec, users, items, *_rows_of(tables["test"][:ONNX_CHECK_ROWS], users, items))
    error = export_onnx(ranker, model_dir / "ranker.onnx", rows)
    flat = {**aucs, **{f"{way}_{name}": value for way, row in metrics.items() for name, value in row.items()}}
    save_json({"framework": framework_versions(), "max_error": error, "metrics": flat}, report)


def _train_ranker(
    spec: FeatureSpec, tables: Mapping[str, pd.DataFrame], vectors: Vectors, settings: RetrievalSettings, epochs: int
) -> Any:
    """Learn from the month before the split with towers that end before it; then put in those to serve with.

    The examples are what those towers retrieve, since that is what it will have to order. (With sampled
    non-purchases instead, its AUC against such is higher, and the order of the retrieved worse than before.)
    """
    from friesian_fast.usecases.online_retail.ranking import MATCH, by_index, input_rows, train_ranker, with_vectors
    from friesian_fast.usecases.online_retail.retrieval import train_towers

    users, items, bought = tables["learn_user"], tables["learn_item"], tables["learn_purchases"]
    known = tables["purchases"]["user_id"].isin(users["user_id"]) & (tables["purchases"]["time"] < LEARN_FROM)
    console.print(f"Towers as of {LEARN_FROM:%Y-%m-%d}, for the ranker to learn from")
    earlier = train_towers(spec, users, items, tables["purchases"][known], settings, console.print)
    user, item, labels = _retrieved(*_rows_of(bought, users, items), earlier)
    rows = input_rows(spec, users, items, user, item)
    rows[MATCH] = np.einsum("ij,ij->i", earlier[0][user], earlier[1][item])
    model = train_ranker(spec, rows, labels, epochs=epochs, seed=settings.seed)
    user_index, item_index = (tables[name][f"{name}_index"].to_numpy() for name in ("user", "item"))
    return with_vectors(
        model,
        spec,
        by_index(user_index, vectors[0], spec.row_set("user").column("user_index").size or 0),
        by_index(item_index, vectors[1], spec.row_set("item").column("item_index").size or 0),
    )


def _retrieved(
    user: NDArray[Any], item: NDArray[Any], vectors: Vectors
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
    """Rows of the users who bought and of the items retrieved for each, and whether these were bought."""
    asked = np.unique(user)
    lists = best(vectors[0][asked] @ vectors[1].T, CANDIDATES)
    of, found = np.repeat(asked, lists.shape[1]), lists.ravel()
    count = len(vectors[1])
    return of, found, np.isin(of * count + found, user * count + item).astype(np.float32)


def _rows_of(pairs: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    user = pd.Index(users["user_id"]).get_indexer(pairs["user_id"])
    return user, pd.Index(items["item_id"]).get_indexer(pairs["item_id"])


def measure_auc(
    spec: FeatureSpec, tables: Mapping[str, pd.DataFrame], vectors: Vectors, ranker: Any
) -> dict[str, float]:
    """The ranker's AUC on what is retrieved, which it was made for, and against sampled non-purchases."""
    from friesian_fast.evaluate.pointwise import auc
    from friesian_fast.train.loop import predict
    from friesian_fast.usecases.online_retail.ranking import input_rows

    users, items, bought = tables["user"], tables["item"], tables["test_purchases"]
    known = bought["item_id"].isin(items["item_id"])
    user, item, labels = _retrieved(*_rows_of(bought[known], users, items), vectors)
    sampled, wanted = _rows_of(tables["test"], users, items), tables["test"]["label"].to_numpy(np.float32)
    return {
        "auc": auc(labels, predict(ranker, input_rows(spec, users, items, user, item))),
        "auc_sampled": auc(wanted, predict(ranker, input_rows(spec, users, items, *sampled))),
    }


def measure(
    spec: FeatureSpec, tables: Mapping[str, pd.DataFrame], vectors: Vectors, ranker: Any
) -> dict[str, dict[str, float]]:
    """How each way of making a list does on what users with history bought after the split."""
    from friesian_fast.usecases.online_retail.ranking import score_pairs

    users, items = tables["user"], tables["item"]
    user_ids, item_ids = pd.Index(users["user_id"]), pd.Index(items["item_id"])
    truth = truth_of(tables["test_purchases"], user_ids, item_ids)
    own = pair_matrix(tables["purchases"], user_ids, item_ids)
    recent = pair_matrix(tables["recent"], user_ids, item_ids).sum(axis=0)
    scores = {
        "popularity": np.broadcast_to(recent, own.shape),
        "own_purchases": own + recent / (recent.max() + 1.0),
        "two_tower": vectors[0] @ vectors[1].T,
    }

    def top(name: str, of: NDArray[Any], barred: NDArray[np.bool_]) -> NDArray[Any]:
        return best(np.where(barred, -np.inf, scores[name][of]), RECALL_K)

    def reranked(of: NDArray[Any], barred: NDArray[np.bool_]) -> NDArray[Any]:
        lists = top("two_tower", of, barred)
        order = best(score_pairs(ranker, spec, users, items, lists, of), RECALL_K)
        return np.take_along_axis(lists, order, axis=1)

    table = {name: both_ways(partial(top, name), truth, own > 0) for name in scores}
    return table | {"reranked": both_ways(reranked, truth, own > 0)}


def _read_tables(data_dir: Path, spec: FeatureSpec) -> dict[str, pd.DataFrame]:
    """What prepare wrote, with the columns that are used, and none of it empty."""
    rows = {}
    for name in ("user", "item"):
        row_set = spec.row_set(name)
        rows[name] = [row_set.id_column, *(column.name for column in row_set.columns)]
    wanted = {**rows, **{f"learn_{name}": columns for name, columns in rows.items()}, **PAIRS}
    return {name: read_columns(data_dir / f"{name}.parquet", columns).to_pandas() for name, columns in wanted.items()}


def _write_vectors(path: Path, id_column: str, rows: pd.DataFrame, vectors: NDArray[np.float32]) -> None:
    flat = pa.array(vectors.ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    with replacing(path) as partial:
        pq.write_table(pa.table({id_column: pa.array(rows[id_column]), "prediction": lists}), partial)


def _table(metrics: Mapping[str, Mapping[str, float]]) -> Table:
    columns = list(next(iter(metrics.values())))
    table = Table(title="Full catalogue, the month after the split; new_ leaves out what the user had bought")
    table.add_column("list")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in metrics.items():
        table.add_row(name, *(f"{row[column]:.4f}" if column in row else "" for column in columns))
    return table


if __name__ == "__main__":
    typer.run(main)
