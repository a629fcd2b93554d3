"""What the ranker learns from: what would have been proposed at the start of earlier months, and what was bought."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import CANDIDATE, FeatureSpec
from friesian_fast.usecases.online_retail.features import Vocabularies, item_features, user_features
from friesian_fast.usecases.online_retail.history import History
from friesian_fast.usecases.online_retail.proposals import ProposalSettings, Proposed, propose

MONTHS = 3  # to learn from

Rows = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What was known at a moment.

    Parameters
    ----------
    users, items : pandas.DataFrame
        Features of those known by then.
    history : History
        In their order.
    prices : ndarray of float64, shape (items,)
    """

    users: pd.DataFrame
    items: pd.DataFrame
    history: History
    prices: NDArray[np.float64]

    @classmethod
    def of(cls, sales: pd.DataFrame, cut: pd.Timestamp, users: pd.DataFrame, items: pd.DataFrame) -> Moment:
        """From the sales, of which those before `cut` count."""
        before = sales[sales["time"] < cut]
        prices = before.groupby("item_id")["price"].median().reindex(items["item_id"]).to_numpy(np.float64)
        history = History(before, cut, pd.Index(users["user_id"]), pd.Index(items["item_id"]))
        return cls(users=users, items=items, history=history, prices=prices)

    def propose(self, asked: NDArray[np.int64], settings: ProposalSettings) -> Proposed:
        """See `propose`."""
        return propose(self.history, self.prices, asked, settings)


def months_before(split: pd.Timestamp) -> tuple[pd.Timestamp, ...]:
    """The starts of the months to learn from, and the split."""
    return tuple(split - pd.DateOffset(months=months) for months in range(MONTHS, -1, -1))


def examples(
    spec: FeatureSpec, sales: pd.DataFrame, settings: ProposalSettings, months: Sequence[pd.Timestamp]
) -> tuple[Rows, NDArray[np.float32]]:
    """Proposals to everyone who then bought, and whether it was that.

    Parameters
    ----------
    spec : FeatureSpec
    sales : pandas.DataFrame
    settings : ProposalSettings
    months : sequence of Timestamp
        Proposals as of each but the last are labelled with what was bought until the next.

    Returns
    -------
    rows : dict of model input to ndarray, shape (n,)
    labels : ndarray of float32, shape (n,)
    """
    vocabularies = Vocabularies(sales)
    parts, labels = [], []
    for cut, end in itertools.pairwise(months):
        if not (sales["time"] < cut).any():
            raise InvalidInputError(f"there is no sale before {cut:%Y-%m-%d} to learn from; use the whole file")
        users, items = user_features(sales, cut, vocabularies), item_features(sales, cut, vocabularies)
        moment = Moment.of(sales, cut, users, items)
        user, item = _bought(sales, cut, end, moment)
        if not len(user):
            raise InvalidInputError(
                f"no user with history bought a known item from {cut:%Y-%m-%d} to {end:%Y-%m-%d}; use the whole file"
            )
        proposed = moment.propose(np.unique(user), settings)
        parts.append(input_rows(spec, users, items, proposed))
        pairs = proposed.user * len(items) + proposed.item
        labels.append(np.isin(pairs, user * len(items) + item).astype(np.float32))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, np.concatenate(labels)


def input_rows(spec: FeatureSpec, users: pd.DataFrame, items: pd.DataFrame, proposed: Proposed) -> Rows:
    """The ranker's inputs for every proposed pair."""
    rows = {}
    for model_input in spec.model_inputs:
        if model_input.row_set == CANDIDATE:
            rows[model_input.name] = proposed.columns[model_input.column]
        else:
            frame, at = (users, proposed.user) if model_input.row_set == "user" else (items, proposed.item)
            rows[model_input.name] = frame[model_input.column].to_numpy()[at]
    return rows


def _bought(
    sales: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, moment: Moment
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the known users and items bought in ``[start, end)``."""
    window = sales[(sales["time"] >= start) & (sales["time"] < end)]
    user = moment.history.users.get_indexer(window["user_id"])
    item = moment.history.items.get_indexer(window["item_id"])
    known = (user >= 0) & (item >= 0)
    return user[known].astype(np.int64), item[known].astype(np.int64)
