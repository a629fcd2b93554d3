"""Train the two towers and the ranker, propose items to every user, measure it all on what came after the split."""

from __future__ import annotations

from collections.abc import Mapping
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
from friesian_fast.evaluate.pointwise import auc
from friesian_fast.release.tables import read_columns
from friesian_fast.spec import FeatureSpec
from friesian_fast.train.files import save_json
from friesian_fast.train.runtime import use_cores
from friesian_fast.usecases.online_retail.evaluate import RECALL_K, best, both_ways, means, truth_of
from friesian_fast.usecases.online_retail.features import PROPOSED

if TYPE_CHECKING:
    from friesian_fast.usecases.online_retail.proposals import Proposed

ONNX_CHECK_ROWS = 2000
RANKED = PROPOSED  # candidates of a request
SALES = ("user_id", "item_id", "invoice", "quantity", "price", "description", "time")
Vectors = tuple[NDArray[np.float32], NDArray[np.float32]]

console = Console(highlight=False, soft_wrap=True)


@reported
def main(
    data_dir: Annotated[Path, typer.Option("--data_dir", help="What prepare wrote.")] = Path("prepared"),
    model_dir: Annotated[Path, typer.Option("--model_dir", help="Gets vectors, proposals, models and metrics.")] = Path(
        "models"
    ),
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of the two towers.")] = 6,
    ranker_epochs: Annotated[int, typer.Option("--ranker_epochs", min=1, help="Of each of the ranker's members.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the first weights and the order of the examples.")] = 0,
    cores: Annotated[
        int | None, typer.Option("--executor_cores", min=1, help="Threads; all cores if left out.")
    ] = None,
) -> None:
    """Train retrieval and ranking and propose items; print how the lists compare with simple baselines.

    Example: friesian online_retail train --data_dir prepared --model_dir models
    """
    spec = FeatureSpec.load(data_dir / "meta" / "spec.json")
    tables = read_tables(data_dir, spec)
    use_cores(cores)
    from friesian_fast.usecases.online_retail.examples import Moment, examples, input_rows, months_before
    from friesian_fast.usecases.online_retail.prepare import read_split
    from friesian_fast.usecases.online_retail.proposals import ProposalSettings
    from friesian_fast.usecases.online_retail.ranking import train_ranker
    from friesian_fast.usecases.online_retail.retrieval import RetrievalSettings, train_towers

    users, items, sales = tables["user"], tables["item"], tables["sales"]
    vectors = train_towers(spec, users, items, sales, RetrievalSettings(epochs=epochs, seed=seed), console.print)
    settings = ProposalSettings()
    split = read_split(data_dir)
    rows, labels = examples(spec, sales, settings, months_before(split))
    console.print(f"Ranker: {len(labels):,} proposals of earlier months, {labels.mean():.1%} of them bought")
    ranker = train_ranker(rows, labels, epochs=ranker_epochs, seed=seed)
    proposed = Moment.of(sales, split, users, items).propose(np.arange(len(users)), settings)
    rows = input_rows(spec, users, items, proposed)
    aucs, metrics = measure(tables, vectors, proposed, _predict(ranker, rows))
    model_dir.mkdir(parents=True, exist_ok=True)
    report = model_dir / "ranker.json"
    report.unlink(missing_ok=True)  # it comes last, so that without it the directory is not complete
    for name, values in zip(("user", "item"), vectors, strict=True):
        _write_vectors(model_dir / f"{name}_ebd.parquet", f"{name}_id", tables[name], values)
    _write_proposals(model_dir / "candidates.parquet", users, items, proposed)
    _save_ranker(ranker, rows, model_dir, report, aucs, metrics)
    console.print(_table(metrics))
    console.print(
        f"Ranker AUC after the split, on the first {RANKED} retrieved: {aucs['auc']:.4f}, "
        f"{aucs['new_auc']:.4f} where only new items are"
    )


def read_tables(data_dir: Path, spec: FeatureSpec) -> dict[str, pd.DataFrame]:
    """What prepare wrote, with the columns that are used, and none of it empty."""
    wanted = {"sales": list(SALES), "recent": ["user_id", "item_id"], "test_purchases": ["user_id", "item_id"]}
    for name in ("user", "item"):
        row_set = spec.row_set(name)
        wanted[name] = [row_set.id_column, *(column.name for column in row_set.columns)]
    return {name: read_columns(data_dir / f"{name}.parquet", columns).to_pandas() for name, columns in wanted.items()}


def measure(
    tables: Mapping[str, pd.DataFrame], vectors: Vectors, proposed: Proposed, scores: NDArray[np.float32]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The ranker's AUC on what is retrieved, and how each way of making a list does on what users then bought."""
    user_ids, item_ids = pd.Index(tables["user"]["user_id"]), pd.Index(tables["item"]["item_id"])
    shape = (len(user_ids), len(item_ids))
    truth = truth_of(tables["test_purchases"], user_ids, item_ids)
    owned = np.zeros(shape, np.bool_)
    owned[user_ids.get_indexer(tables["sales"]["user_id"]), item_ids.get_indexer(tables["sales"]["item_id"])] = True
    popular = np.bincount(item_ids.get_indexer(tables["recent"]["item_id"]), minlength=shape[1]).astype(np.float32)

    def by(values: NDArray[np.float32]) -> dict[str, float]:
        return means(both_ways(lambda of, barred: best(np.where(barred, -np.inf, values[of]), RECALL_K), truth, owned))

    def ranked(values: NDArray[np.float32]) -> dict[str, float]:
        return means(
            both_ways(lambda of, barred: listed(proposed, values, shape, of, new=bool(barred.any())), truth, owned)
        )

    metrics = {
        "popularity": by(np.broadcast_to(popular, shape)),
        "two_tower": by(vectors[0] @ vectors[1].T),
        "retrieved": ranked(proposed.score),
        "served": ranked(scores),
    }
    labels = np.zeros(shape, np.bool_)
    labels[truth.users] = truth.bought
    aucs = {}
    for name, new in (("auc", False), ("new_auc", True)):
        place = proposed.place(new=new)
        asked = (truth.without(owned[truth.users]) if new else truth).users
        counted = (place >= 0) & (place < RANKED) & np.isin(proposed.user, asked)
        aucs[name] = auc(labels[proposed.user[counted], proposed.item[counted]].astype(np.float32), scores[counted])
    return aucs, metrics


def listed(
    proposed: Proposed, scores: NDArray[np.float32], shape: tuple[int, int], users: NDArray[Any], *, new: bool
) -> NDArray[np.int64]:
    """The best by score of what a request of these users ranks, shape (n, RECALL_K), -1 where there is less."""
    place = proposed.place(new=new)
    counted = np.flatnonzero((place >= 0) & (place < RANKED))
    order = counted[np.lexsort((place[counted], -scores[counted], proposed.user[counted]))]
    owner = proposed.user[order]
    at = np.arange(len(order)) - np.searchsorted(owner, owner)
    lists = np.full((shape[0], RECALL_K), -1, np.int64)
    lists[owner[at < RECALL_K], at[at < RECALL_K]] = proposed.item[order][at < RECALL_K]
    asked: NDArray[np.int64] = lists[users]
    return asked


def _predict(ranker: Any, rows: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    from friesian_fast.train.forward import predict

    scores: NDArray[np.float32] = predict(ranker, rows)
    return scores


def _save_ranker(
    ranker: Any,
    rows: Mapping[str, NDArray[Any]],
    model_dir: Path,
    report: Path,
    aucs: Mapping[str, float],
    metrics: Mapping[str, Mapping[str, float]],
) -> None:
    from friesian_fast.train.export import export_onnx, framework_versions

    some = {name: values[:ONNX_CHECK_ROWS] for name, values in rows.items()}
    error = export_onnx(ranker, model_dir / "ranker.onnx", some)
    flat = {**aucs, **{f"{way}_{name}": value for way, row in metrics.items() for name, value in row.items()}}
    save_json({"framework": framework_versions(), "max_error": error, "metrics": flat}, report)


def _write_proposals(path: Path, users: pd.DataFrame, items: pd.DataFrame, proposed: Proposed) -> None:
    columns = {
        "user_id": users["user_id"].to_numpy()[proposed.user],
        "item_id": pa.array(items["item_id"]).take(pa.array(proposed.item)),
        "score": proposed.score,
        **proposed.columns,
    }
    with replacing(path) as partial:
        pq.write_table(pa.table(columns), partial)


def _write_vectors(path: Path, id_column: str, rows: pd.DataFrame, vectors: NDArray[np.float32]) -> None:
    flat = pa.array(vectors.ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    with replacing(path) as partial:
        pq.write_table(pa.table({id_column: pa.array(rows[id_column]), "prediction": lists}), partial)


def _table(metrics: Mapping[str, Mapping[str, float]]) -> Table:
    columns = list(next(iter(metrics.values())))
    table = Table(title="Full catalogue, after the split; new_ leaves out what the user had bought")
    table.add_column("list")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in metrics.items():
        table.add_row(name, *(f"{row[column]:.4f}" for column in columns))
    return table


if __name__ == "__main__":
    typer.run(main)
