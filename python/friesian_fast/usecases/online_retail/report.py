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
from friesian_fast.evaluate.bootstrap import Interval, bootstrap_auc, bootstrap_auc_difference, bootstrap_mean
from friesian_fast.release.open import Release, open_release
from friesian_fast.release.tables import read_columns
from friesian_fast.spec import FeatureSpec
from friesian_fast.usecases.online_retail.baselines import FAMILIES, Tuned, tuned
from friesian_fast.usecases.online_retail.boosted import BoostedTrees
from friesian_fast.usecases.online_retail.evaluate import (
    RECALL_K,
    Truth,
    Values,
    best,
    both_ways,
    list_metrics,
    means,
    truth_of,
)
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
TREES = "LightGBM on the same candidates"
AUC_DRAWS = 1000  # for the difference, which a goal is held against
console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """AUC on what recall retrieved, of the served ranker, of LightGBM, and the first less the second."""

    ranker: Interval
    trees: Interval
    difference: Interval
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomers:
    """Who bought after the split and never before, and how the popular items that they are shown do.

    Parameters
    ----------
    users : int
    values : mapping of metric to ndarray, shape (users,)
        Empty without newcomers.
    """

    users: int
    values: Values

    def intervals(self) -> dict[str, Interval]:
        """The means."""
        return {metric: bootstrap_mean(values) for metric, values in self.values.items()}


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
    newcomers : Newcomers
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
    newcomers: Newcomers

    def intervals(self, name: str) -> dict[str, Interval]:
        """A list's means."""
        return {metric: bootstrap_mean(values) for metric, values in self.values[name].items()}

    def best_baseline(self, metric: str) -> str:
        """The family with the highest mean after the split: chosen on the rows it is measured on, in its favour."""
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
    console.print(f"newcomers: {findings.newcomers.users:,}")
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
    trees, peers, values[TREES] = _peers(release, catalogue, truth, sales, split, seed)
    console.print(f"LightGBM: {trees}")
    newcomers = _newcomers(release, data_dir, catalogue)
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
        newcomers=newcomers,
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


def _newcomers(release: Release, data_dir: Path, catalogue: Catalogue) -> Newcomers:
    path = data_dir / "newcomers.parquet"
    if not path.exists():
        return Newcomers(users=0, values={})
    bought = read_columns(path, ["user_id", "item_id"]).to_pandas()
    truth = truth_of(bought, pd.Index(np.sort(bought["user_id"].unique())), catalogue.items)
    shown = catalogue.numbers([str(item.id) for item in release.popular[:RECALL_K]])
    return Newcomers(users=len(truth.users), values=list_metrics(np.tile(shown, (len(truth.users), 1)), truth))


def _peers(
    release: Release, catalogue: Catalogue, truth: Truth, sales: pd.DataFrame, split: pd.Timestamp, seed: int
) -> tuple[str, dict[str, Peers], Values]:
    """What LightGBM chose, both rankers' AUC, and the metrics of LightGBM's lists."""
    spec: FeatureSpec = release.spec
    months = months_before(split)
    parts = [examples(spec, sales, ProposalSettings(), some) for some in (months[:-1], months[-2:])]
    trees = BoostedTrees(*parts, seed=seed)
    found: dict[str, Peers] = {}
    values: Values = {}
    for way, asked in (("", truth), ("new_", truth.without(catalogue.owned[truth.users]))):
        ranked = _ranked(release, catalogue, asked, hide_seen=way == "new_")
        scores = trees.score(ranked.features)
        found[way] = Peers(
            ranker=bootstrap_auc(ranked.labels, ranked.scores, ranked.owner),
            trees=bootstrap_auc(ranked.labels, scores, ranked.owner),
            difference=bootstrap_auc_difference(ranked.labels, ranked.scores, scores, ranked.owner, samples=AUC_DRAWS),
            rows=len(ranked.labels),
        )
        values |= {f"{way}{name}": column for name, column in list_metrics(ranked.lists(scores), asked).items()}
    return f"{trees.rounds} trees of {trees.leaves} leaves on {len(trees.names)} features", found, values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """Every candidate that the release ranks for some users, in the order of recall.

    Parameters
    ----------
    owner : ndarray of int, shape (n,)
        Which of the users, ascending from 0.
    items, labels, scores : ndarray, shape (n,)
    features : dict of str to ndarray, shape (n,)
    """

    owner: NDArray[np.int64]
    items: NDArray[np.int64]
    labels: NDArray[np.float32]
    scores: NDArray[np.float32]
    features: dict[str, NDArray[Any]]

    def lists(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """The best RECALL_K of each user by other scores, -1 where there are fewer."""
        order = np.lexsort((-scores, self.owner))
        owner = self.owner[order]
        place = np.arange(len(order)) - np.searchsorted(owner, owner)
        lists = np.full((owner[-1] + 1, RECALL_K), -1, np.int64)
        shown = place < RECALL_K
        lists[owner[shown], place[shown]] = self.items[order][shown]
        return lists


def _ranked(release: Release, catalogue: Catalogue, truth: Truth, *, hide_seen: bool) -> _Ranked:
    owner, items, scores, features = [], [], [], []
    for row, told in enumerate(explanations(release, catalogue, truth.users, hide_seen=hide_seen)):
        items.append(catalogue.items.get_indexer(list(told.candidates)))
        owner.append(np.full(len(items[-1]), row))
        scores.append(told.ranker_scores)
        features.append(told.features)
    whole_owner, whole_items = np.concatenate(owner), np.concatenate(items)
    return _Ranked(
        owner=whole_owner,
        items=whole_items,
        labels=truth.bought[whole_owner, whole_items].astype(np.float32),
        scores=np.concatenate(scores),
        features={name: np.concatenate([part[name] for part in features]) for name in features[0]},
    )


if __name__ == "__main__":
    typer.run(main)
