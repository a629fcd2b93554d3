"""Who bought what in a span of time, and sampled items that they did not."""

from __future__ import annotations

import numpy as np
import pandas as pd

NEGATIVES = 4  # per purchase; one half drawn by popularity, the other uniformly
_ROUNDS = 20


def examples(
    sales: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, seed: int
) -> pd.DataFrame:
    """Purchases in ``[start, end)`` and sampled non-purchases of the same users.

    Parameters
    ----------
    sales : pandas.DataFrame
    users, items : pandas.DataFrame
        Features as of `start`; only their users and items appear.
    start, end : Timestamp
    seed : int

    Returns
    -------
    pandas.DataFrame
        ``user_id``, ``item_id``, ``label`` (int32), shuffled.
    """
    positives = purchases(sales, users, items, start, end)
    known_users, known_items = pd.Index(users["user_id"]), pd.Index(items["item_id"])
    user = known_users.get_indexer(positives["user_id"])
    item = known_items.get_indexer(positives["item_id"])
    bought = user.astype(np.int64) * len(known_items) + item
    rng = np.random.default_rng(seed)
    sampled = _sample_negatives(rng, user, bought, _popularity(sales, known_items, start))
    keys = np.concatenate([bought, sampled])
    labels = np.repeat(np.array([1, 0], np.int32), [len(bought), len(sampled)])
    order = rng.permutation(len(keys))
    return pd.DataFrame(
        {
            "user_id": known_users.to_numpy()[keys[order] // len(known_items)],
            "item_id": known_items.to_numpy()[keys[order] % len(known_items)],
            "label": labels[order],
        }
    )


def purchases(
    sales: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    """The distinct ``user_id``, ``item_id`` bought in ``[start, end)`` by known users, of known items."""
    window = sales[(sales["time"] >= start) & (sales["time"] < end)]
    known = window["user_id"].isin(users["user_id"]) & window["item_id"].isin(items["item_id"])
    pairs = window.loc[known, ["user_id", "item_id"]].drop_duplicates()
    return pairs.sort_values(["user_id", "item_id"], ignore_index=True)


def _popularity(sales: pd.DataFrame, known_items: pd.Index, start: pd.Timestamp) -> np.ndarray:
    recent = sales[(sales["time"] < start) & (sales["time"] >= start - pd.Timedelta(days=28))]
    buyers = recent.groupby("item_id")["user_id"].nunique().reindex(known_items).fillna(0).to_numpy(np.float64)
    share: np.ndarray = (buyers + 1.0) / (buyers + 1.0).sum()
    return share


def _sample_negatives(
    rng: np.random.Generator, user: np.ndarray, bought: np.ndarray, popularity: np.ndarray
) -> np.ndarray:
    """Pairs ``user * items + item`` that are not in `bought`; a hit on a purchase is drawn again."""
    base = np.repeat(user.astype(np.int64), NEGATIVES) * len(popularity)
    by_popularity = np.arange(len(base)) % 2 == 0
    keys = np.full(len(base), -1, np.int64)
    for _ in range(_ROUNDS):
        open_ = np.flatnonzero(keys < 0)
        if not len(open_):
            break
        drawn = rng.integers(len(popularity), size=len(open_))
        popular = by_popularity[open_]
        drawn[popular] = rng.choice(len(popularity), size=int(popular.sum()), p=popularity)
        candidate = base[open_] + drawn
        keys[open_] = np.where(np.isin(candidate, bought), -1, candidate)
    return keys[keys >= 0]
