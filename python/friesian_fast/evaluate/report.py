"""Everything that can be said about predictions, as numbers: what the JSON holds and the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.bootstrap import Interval, bootstrap_auc, bootstrap_mean
from friesian_fast.evaluate.catalogue import average_popularity, coverage, diversity, exposure, gini, novelty
from friesian_fast.evaluate.lists import PADDING, Relevant, top_lists
from friesian_fast.evaluate.pointwise import Calibration, calibration, gauc, logloss
from friesian_fast.evaluate.ranking import METRICS, ranking_metrics
from friesian_fast.evaluate.split import history_slices


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What is measured, users numbered 0..n-1 and items 0..m-1.

    Parameters
    ----------
    users, items : int
        n and m, the size of the catalogue.
    user, item : ndarray of int, shape (pairs,)
    score : ndarray of float, shape (pairs,)
    label : ndarray of number, shape (pairs,), optional
        0 or 1, for AUC and calibration.
    relevant : Relevant
        Of the n users.
    user_history, item_history : ndarray of int, shapes (n,) and (m,), optional
        Interactions before the split, for slices, novelty and popularity.
    vectors : ndarray of float, shape (m, d), optional
        Of the items, for diversity.
    """

    users: int
    items: int
    user: NDArray[Any]
    item: NDArray[Any]
    score: NDArray[Any]
    label: NDArray[Any] | None = None
    relevant: Relevant
    user_history: NDArray[Any] | None = None
    item_history: NDArray[Any] | None = None
    vectors: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Results; an interval holds `confidence` of the bootstrap over users.

    Parameters
    ----------
    counts : dict of str to int
        Of users and items.
    ranking : dict of str to Interval
        Such as ``ndcg@10``, over the users with relevant items.
    curves : dict of str to list of (k, value)
        Each metric over k.
    lists : dict of str to float
        Coverage and the like, of the lists at the largest k.
    slices : dict of str to dict of str to dict of str to Interval
        What is sliced → slice → metric.
    pointwise : dict of str to Interval or float
        Empty without labels.
    bins : Calibration or None
    notes : list of str
        What was left out, and why.
    """

    counts: dict[str, int]
    ranking: dict[str, Interval]
    curves: dict[str, list[tuple[int, float]]]
    lists: dict[str, float]
    slices: dict[str, dict[str, dict[str, Interval]]]
    pointwise: dict[str, Interval | float]
    bins: Calibration | None
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; empty calibration bins are null."""
        plain = asdict(self)
        if self.bins is not None:
            plain["bins"] = {
                name: [None if np.isnan(value) else value for value in getattr(self.bins, name).tolist()]
                for name in ("edges", "counts", "predicted", "observed")
            }
        return plain


def make_report(
    given: Predictions, *, ks: Sequence[int] = (10, 50), samples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Report:
    """Measure all that the given columns allow.

    Parameters
    ----------
    given : Predictions
    ks : sequence of int, default (10, 50)
        Lengths of list to report; curves reach to the largest.
    samples, confidence, seed
        As of `bootstrap_mean`.

    Returns
    -------
    Report

    Raises
    ------
    InvalidInputError
        If nobody has a relevant item, or a column holds what its metric refuses.
    """
    if not ks or min(ks) < 1:
        raise InvalidInputError(f"ks are {list(ks)}; name at least one, each at least 1")
    totals = given.relevant.totals
    if not totals.any():
        raise InvalidInputError("no user has a relevant item; there is nothing to measure")
    ks = sorted(set(ks))
    lists = top_lists(given.user, given.item, given.score, users=given.users, k=ks[-1])
    hits = given.relevant.hits(lists)
    sampling: dict[str, Any] = {"samples": samples, "confidence": confidence, "seed": seed}
    predicted = lists[:, 0] != PADDING
    metrics = ranking_metrics(hits, totals, ks)
    notes: list[str] = []
    pointwise, bins = _pointwise(given, sampling, notes)
    return Report(
        counts={
            "users with relevant items": int((totals > 0).sum()),
            "of them without predictions (counted as misses)": int(((totals > 0) & ~predicted).sum()),
            "users with predictions but no relevant item (left out)": int(((totals == 0) & predicted).sum()),
            "items": given.items,
        },
        ranking={name: bootstrap_mean(values, **sampling) for name, values in metrics.items()},
        curves=_curves(hits, totals, ks[-1]),
        lists=_of_lists(given, lists[predicted]),
        slices=_slices(given, lists, ks, sampling, notes),
        pointwise=pointwise,
        bins=bins,
        notes=notes,
    )


def _curves(hits: NDArray[np.bool_], totals: NDArray[Any], longest: int) -> dict[str, list[tuple[int, float]]]:
    ks = np.unique(np.geomspace(1, longest, 16).round().astype(int)).tolist()
    means = {name: float(np.nanmean(values)) for name, values in ranking_metrics(hits, totals, ks).items()}
    return {name: [(k, means[f"{name}@{k}"]) for k in ks] for name in METRICS}


def _of_lists(given: Predictions, lists: NDArray[np.int64]) -> dict[str, float]:
    """Of the lists that are not empty."""
    if not len(lists):
        return {}
    shown = {
        "coverage": coverage(lists, items=given.items),
        "gini of exposure": gini(exposure(lists, items=given.items)),
    }
    if given.item_history is not None:
        shown["novelty (bits)"] = float(novelty(lists, given.item_history).mean())
        shown["average popularity of listed items"] = float(average_popularity(lists, given.item_history).mean())
        shown["average popularity of relevant items"] = float(given.item_history[given.relevant.items].mean())
    if given.vectors is not None:
        of_pairs = diversity(lists, given.vectors)
        if not np.isnan(of_pairs).all():
            shown["diversity"] = float(np.nanmean(of_pairs))
    return shown


def _slices(
    given: Predictions, lists: NDArray[np.int64], ks: Sequence[int], sampling: dict[str, Any], notes: list[str]
) -> dict[str, dict[str, dict[str, Interval]]]:
    """Recall at the largest and NDCG at the smallest k; slices that hold nobody are left out."""
    if given.user_history is None or given.item_history is None:
        notes.append("Without a history there are no slices of cold users and items, no novelty and no popularity.")
        return {}
    totals = given.relevant.totals
    relevant_of: dict[str, dict[str, Relevant]] = {"users by past interactions": {}, "items by past interactions": {}}
    for name, mask in history_slices(given.user_history).items():
        kept = mask[given.relevant.users]
        pairs = given.relevant.users[kept], given.relevant.items[kept]
        relevant_of["users by past interactions"][name] = Relevant.from_pairs(*pairs, users=len(totals))
    for name, mask in history_slices(given.item_history).items():
        relevant_of["items by past interactions"][name] = given.relevant.of_items(mask)
    return {
        kind: {
            f"{name} ({int((relevant.totals > 0).sum()):,} users)": _of_slice(relevant, lists, ks, sampling)
            for name, relevant in parts.items()
            if relevant.totals.any()
        }
        for kind, parts in relevant_of.items()
    }


def _of_slice(
    relevant: Relevant, lists: NDArray[np.int64], ks: Sequence[int], sampling: dict[str, Any]
) -> dict[str, Interval]:
    values = ranking_metrics(relevant.hits(lists), relevant.totals, sorted({ks[0], ks[-1]}))
    return {name: bootstrap_mean(values[name], **sampling) for name in (f"recall@{ks[-1]}", f"ndcg@{ks[0]}")}


def _pointwise(
    given: Predictions, sampling: dict[str, Any], notes: list[str]
) -> tuple[dict[str, Interval | float], Calibration | None]:
    if given.label is None:
        notes.append("Without a label column there is no AUC, GAUC, logloss or calibration.")
        return {}, None
    fewer = sampling | {"samples": min(sampling["samples"], 200)}
    measured: dict[str, Interval | float] = {"auc": bootstrap_auc(given.label, given.score, given.user, **fewer)}
    try:
        groups = gauc(given.label, given.score, given.user)
    except InvalidInputError:
        notes.append("No user has rows of both labels, so that there is no GAUC.")
    else:
        measured["gauc"] = bootstrap_mean(groups.auc, groups.rows, **sampling)
    if given.score.min() < 0 or given.score.max() > 1:
        notes.append("Scores reach beyond 0 to 1: as they are no probabilities, there is no logloss or calibration.")
        return measured, None
    bins = calibration(given.label, given.score)
    measured["logloss"] = logloss(given.label, given.score)
    measured["ece"] = bins.ece
    return measured, bins
