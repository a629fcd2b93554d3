"""Measure what a release serves beside tuned baselines, and write the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console

from friesian_fast.cli.errors import reported
from friesian_fast.evaluate.bootstrap import Interval, bootstrap_auc, bootstrap_mean
from friesian_fast.release.open import Release, open_release
from friesian_fast.release.tables import read_columns
from friesian_fast.spec import FeatureSpec
from friesian_fast.usecases.online_retail.baselines import FAMILIES, Tuned, tuned
from friesian_fast.usecases.online_retail.boosted import BoostedTrees
from friesian_fast.usecases.online_retail.evaluate import RECALL_K, Truth, Values, best, both_ways, means, truth_of
from friesian_fast.usecases.online_retail.examples import examples, months_before
from friesian_fast.usecases.online_retail.history import History
from friesian_fast.usecases.online_retail.prepare import read_split
from friesian_fast.usecases.online_retail.proposals import ProposalSettings
from friesian_fast.usecases.online_retail.served import (
    Catalogue,
    explanations,
    require_made_of,
    retrieved_values,
    served_values,
)
from friesian_fast.usecases.online_retail.train import SALES

SERVED, RETRIEVED, TOWERS = "served", "retrieval order", "two-tower alone"
console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """AUC on what recall retrieved, of the served ranker and of LightGBM, each with its interval."""

    ranker: Interval
    trees: Interval
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the page shows.

    Parameters
    ----------
    release : Release
    catalogue : Catalogue
    sales : pandas.DataFrame
        Before the split.
    split : Timestamp
    truth : Truth
    values : mapping of list to mapping of metric to ndarray, shape (users,)
    baselines : mapping of family to Tuned
    peers : mapping of "" and "new_" to Peers
    trees : str
        What LightGBM chose.
    """

    release: Release
    catalogue: Catalogue
    sales: pd.DataFrame
    split: pd.Timestamp
    truth: Truth
    values: Mapping[str, Values]
    baselines: Mapping[str, Tuned]
    peers: Mapping[str, Peers]
    trees: str

    def intervals(self, name: str) -> dict[str, Interval]:
        """A list's means."""
        return {metric: bootstrap_mean(values) for metric, values in self.values[name].items()}

    def best_baseline(self, metric: str) -> str:
        """The family with the highest mean after the split."""
        return max(self.baselines, key=lambda name: float(self.values[name][metric].mean()))

    def gain(self, metric: str, over: str) -> Interval:
        """Served less another list, user by user."""
        return bootstrap_mean(self.values[SERVED][metric] - self.values[over][metric])


@reported
def main(
    data_dir: Annotated[Path, typer.Option("--data_dir", help="What prepare wrote.")] = Path("prepared"),
    releases: Annotated[Path, typer.Option("--releases", help="Directory of releases.")] = Path("releases"),
    out: Annotated[Path, typer.Option("--out", help="Directory for the page.")] = Path("report"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of LightGBM and of the example users.")] = 0,
) -> None:
    """Measure the release beside popularity, own purchases, item-kNN, ALS and EASE, and write index.html.

    Example: friesian online_retail report --data_dir prepared --releases releases --out report
    """
    from friesian_fast.usecases.online_retail.page import write_report

    findings = measure(data_dir, open_release(releases), seed)
    for name in findings.values:
        console.print(f"{name:24s}" + "  ".join(f"{k} {v:.4f}" for k, v in means(findings.values[name]).items()))
    for way, peers in findings.peers.items():
        console.print(f"{way}AUC: ranker {peers.ranker.value:.4f}, LightGBM {peers.trees.value:.4f}")
    console.print(f"wrote {write_report(findings, out, seed)}")


def measure(data_dir: Path, release: Release, seed: int) -> Findings:
    """All lists and both rankers on what was bought after the split."""
    require_made_of(release, data_dir)
    split = read_split(data_dir)
    sales = read_columns(data_dir / "sales.parquet", list(SALES)).to_pandas()
    bought = read_columns(data_dir / "test_purchases.parquet", ["user_id", "item_id"]).to_pandas()
    catalogue = Catalogue.of(release, sales)
    truth = truth_of(bought, catalogue.users, catalogue.items)
    console.print(
        f"{len(truth.users):,} users with history bought from {split:%Y-%m-%d} on; asking the release for them"
    )
    values = {SERVED: served_values(release, catalogue, truth)}
    values[RETRIEVED] = retrieved_values(release, catalogue, truth)
    values[TOWERS] = _tower_values(release, catalogue, truth)
    baselines = dict(_baselines(sales, split, catalogue, truth))
    values |= {name: family.values for name, family in baselines.items()}
    trees, peers = _peers(release, catalogue, truth, sales, split, seed)
    console.print(f"LightGBM: {trees}")
    return Findings(
        release=release,
        catalogue=catalogue,
        sales=sales,
        truth=truth,
        values=values,
        baselines=baselines,
        split=split,
        peers=peers,
        trees=trees,
    )


def _baselines(
    sales: pd.DataFrame, split: pd.Timestamp, catalogue: Catalogue, truth: Truth
) -> Iterator[tuple[str, Tuned]]:
    validate = months_before(split)[-2]
    before = sales[sales["time"] < validate]
    users, items = (pd.Index(np.sort(before[name].unique())) for name in ("user_id", "item_id"))
    month = sales.loc[(sales["time"] >= validate) & sales["user_id"].isin(users), ["user_id", "item_id"]]
    earlier = History(sales, validate, users, items), truth_of(month.drop_duplicates(), users, items)
    later = History(sales, split, catalogue.users, catalogue.items), truth
    for name, family in FAMILIES.items():
        found = tuned(family, earlier, later)
        console.print(f"{name}: the best of {found.tried} settings")
        yield name, found


def _tower_values(release: Release, catalogue: Catalogue, truth: Truth) -> Values:
    """By the exact products of the vectors."""
    vectors = []
    for name, ids in (("user_vector", catalogue.users.to_numpy(np.int64)), ("item_vector", catalogue.items.tolist())):
        store = release.row_store(name)
        vectors.append(store.decode(ids).columns["embedding"])
        store.close()

    def lists(users: NDArray[Any], barred: NDArray[np.bool_]) -> NDArray[Any]:
        return best(np.where(barred, -np.inf, vectors[0][users] @ vectors[1].T), RECALL_K)

    return both_ways(lists, truth, catalogue.owned)


def _peers(
    release: Release, catalogue: Catalogue, truth: Truth, sales: pd.DataFrame, split: pd.Timestamp, seed: int
) -> tuple[str, dict[str, Peers]]:
    spec: FeatureSpec = release.spec
    months = months_before(split)
    parts = [examples(spec, sales, ProposalSettings(), some) for some in (months[:-1], months[-2:])]
    trees = BoostedTrees(*parts, seed=seed)
    found = {}
    for way, users in (("", truth.users), ("new_", truth.without(catalogue.owned[truth.users]).users)):
        rows = _ranked(release, catalogue, truth, users, hide_seen=way == "new_")
        owner, labels, scores, features = rows
        found[way] = Peers(
            ranker=bootstrap_auc(labels, scores, owner),
            trees=bootstrap_auc(labels, trees.score(features), owner),
            rows=len(labels),
        )
    return f"{trees.rounds} trees of {trees.leaves} leaves on {len(trees.names)} features", found


def _ranked(
    release: Release, catalogue: Catalogue, truth: Truth, users: NDArray[Any], *, hide_seen: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], dict[str, NDArray[Any]]]:
    """User, label, served score and features of every candidate that the release ranks for these users."""
    row = dict(zip(truth.users.tolist(), range(len(truth.users)), strict=True))
    owner, labels, scores, features = [], [], [], []
    for user, told in zip(users, explanations(release, catalogue, users, hide_seen=hide_seen), strict=True):
        items = catalogue.items.get_indexer(list(told.candidates))
        owner.append(np.full(len(items), user))
        labels.append(truth.bought[row[int(user)], items].astype(np.float32))
        scores.append(told.ranker_scores)
        features.append(told.features)
    columns = {name: np.concatenate([part[name] for part in features]) for name in features[0]}
    return np.concatenate(owner), np.concatenate(labels), np.concatenate(scores), columns


if __name__ == "__main__":
    typer.run(main)
