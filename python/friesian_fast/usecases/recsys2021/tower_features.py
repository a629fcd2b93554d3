"""The two-tower model's own features: rare ids folded together, ratios, numbers scaled to [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.models.inputs import Categorical
from friesian_fast.models.two_tower import TowerInputs
from friesian_fast.train.table import write_columns
from friesian_fast.usecases.recsys2021.tables import Sizes

Columns = dict[str, NDArray[Any]]

USER_ROLE = "enaging_user"
AUTHOR_ROLE = "engaged_with_user"
RATIO = "follower_following_ratio"
FOLDED = ("hashtags", "present_links", "present_domains")
INDICATORS = ("present_media", "tweet_type", "language")
LENGTHS = ("len_hashtags", "len_domains", "len_links")
USER_ID = f"{USER_ROLE}_id"
ITEM_ID = "tweet_id"

USER_INTEGERS = (f"{USER_ROLE}_is_verified", USER_ID)
USER_NUMBERS = tuple(f"{USER_ROLE}_{name}" for name in ("follower_count", "following_count", RATIO))
AUTHOR_NUMBERS = tuple(f"{AUTHOR_ROLE}_{name}" for name in ("follower_count", "following_count", RATIO))
ITEM_INTEGERS = (f"{AUTHOR_ROLE}_is_verified", *INDICATORS, ITEM_ID, f"{AUTHOR_ROLE}_id", *FOLDED)
ITEM_NUMBERS = (*LENGTHS, *AUTHOR_NUMBERS)
FLAG_SIZE = 3  # false, true, and the original's place for unknown

RAW_INTEGERS = (*USER_INTEGERS, *ITEM_INTEGERS)
RAW_NUMBERS = tuple(name for name in (*USER_NUMBERS, *ITEM_NUMBERS) if not name.endswith(RATIO))


def fold_rare(column: str, train: Columns, test: Columns, frequency_limit: int, directory: Path) -> int:
    """Renumber a column's ids, in place: the frequent ones by falling count from 1, all others 0.

    Writes the mapping to ``embed_reindex_<column>``. No id may be frequent enough; then all are 0.

    Returns
    -------
    int
        How many ids are left, without 0.
    """
    ids, counts = np.unique(train[column], return_counts=True)
    kept = np.flatnonzero(counts >= frequency_limit)
    kept = kept[np.argsort(-counts[kept], kind="stable")]
    old = ids[kept]
    new = np.arange(1, len(old) + 1, dtype=np.int32)
    write_columns(directory / f"embed_reindex_{column}", {column: old, f"{column}_new": new})
    by_old = np.argsort(old)
    for columns in (train, test):
        columns[column] = _renumber(columns[column], old[by_old], new[by_old])
    return len(old)


def _renumber(values: NDArray[Any], old: NDArray[Any], new: NDArray[np.int32]) -> NDArray[np.int32]:
    if not len(old):
        return np.zeros(len(values), dtype=np.int32)
    place = np.searchsorted(old, values).clip(max=len(old) - 1)
    return np.where(old[place] == values, new[place], 0).astype(np.int32)


def add_ratios(columns: Columns) -> None:
    """Following per follower of both roles, from the bucketed counts; 0 without followers."""
    for role in (USER_ROLE, AUTHOR_ROLE):
        followers = columns[f"{role}_follower_count"]
        ratio = np.zeros(len(followers), dtype=np.float32)
        np.divide(columns[f"{role}_following_count"], followers, out=ratio, where=followers != 0)
        columns[f"{role}_{RATIO}"] = ratio


def scale_numbers(train: Columns, test: Columns) -> None:
    """Scale every number to [0, 1] over the training rows, in place; a constant becomes 0."""
    for name in (*USER_NUMBERS, *ITEM_NUMBERS):
        low, high = float(train[name].min()), float(train[name].max())
        width = high - low if high > low else 1.0
        for columns in (train, test):
            columns[name] = ((columns[name] - low) / width).astype(np.float32)


def tower_inputs(sizes: Sizes, folded: Mapping[str, int]) -> tuple[TowerInputs, TowerInputs]:
    """Both towers' inputs; encoded columns keep 0 for unknown values."""
    user = TowerInputs(
        indicator=[Categorical(f"{USER_ROLE}_is_verified", FLAG_SIZE)],
        embedding=[Categorical(USER_ID, sizes[USER_ID] + 1)],
        continuous=USER_NUMBERS,
    )
    tables = {ITEM_ID: sizes[ITEM_ID], f"{AUTHOR_ROLE}_id": sizes[f"{AUTHOR_ROLE}_id"], **folded}
    item = TowerInputs(
        indicator=[
            Categorical(f"{AUTHOR_ROLE}_is_verified", FLAG_SIZE),
            *(Categorical(name, sizes[name] + 1) for name in INDICATORS),
        ],
        embedding=[Categorical(name, size + 1) for name, size in tables.items()],
        continuous=ITEM_NUMBERS,
    )
    return user, item
