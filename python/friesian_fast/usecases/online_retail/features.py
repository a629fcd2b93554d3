"""User and item features as they stood at a moment, and the spec: only sales before it are seen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from friesian_fast.hashing import xxh3_bucket
from friesian_fast.release.candidates import candidate_row_set
from friesian_fast.spec import CANDIDATE, Column, FeatureSpec, ModelInput, RowSet, Transform, Vocabulary

WORD_BINS = 512
ITEM_WORDS = 4
_WORD = re.compile(r"[A-Z]{3,}")
_STOP_WORDS = frozenset({"THE", "AND", "WITH", "FOR", "SET", "PACK", "ASSORTED", "SMALL", "LARGE"})


@dataclass(frozen=True, slots=True)
class Scaled:
    """``log(1 + source) / log(1 + cap)``, at most 1."""

    name: str
    source: str
    cap: float


DAYS = 400.0  # more than the transactions span
POPULARITY_DAYS = (7, 14, 28, 91)
USER_NUMBERS = (
    Scaled("recency", "recency_days", DAYS),
    Scaled("tenure", "tenure_days", DAYS),
    Scaled("frequency", "orders", 100.0),
    Scaled("spend", "spend", 100_000.0),
    Scaled("variety", "items", 1000.0),
    Scaled("basket", "items_per_order", 500.0),
    Scaled("repeats", "repeat_share", 1.0),
    Scaled("mean_price", "mean_price", 50.0),
)
ITEM_NUMBERS = (
    *(Scaled(f"popularity_{days}", f"buyers_{days}", 300.0 if days < 91 else 600.0) for days in POPULARITY_DAYS),
    Scaled("popularity", "buyers", 1000.0),
    Scaled("recency", "recency_days", DAYS),
    Scaled("age", "age_days", DAYS),
    Scaled("repeats", "repeat_share", 1.0),
    Scaled("price", "price", 50.0),
    Scaled("quantity", "mean_quantity", 500.0),
)
USER_CATEGORIES = ("user_index",)
ITEM_CATEGORIES = ("item_index", *(f"word_{n}" for n in range(1, ITEM_WORDS + 1)))
# Of a pair: what the sources of proposals say, and the user's own orders of the item. 0 where nothing is known.
SOURCES = ("ease", "ease_binary", "knn")
PAIR_COLUMNS = (
    *SOURCES,
    "own_orders",
    "own_30",
    "own_90",
    "own_quantity",
    "own_fresh",
    "own_in_last",
    "own_since",
    "own_due",
    "price_share",
)
PROPOSED = 200  # of all items, and of those that a user never had: so many a request ranks
LONGEST_LIST = 2 * PROPOSED


class Vocabularies:
    """Users and items seen before the split; position 0 is for all others."""

    def __init__(self, sales: pd.DataFrame) -> None:
        self.users = np.sort(sales["user_id"].unique())
        self.items = np.sort(sales["item_id"].unique().astype(str)).astype(object)

    def user_index(self, ids: Sequence[int] | pd.Series) -> np.ndarray:
        """Positions from 1, int32 of shape (n,)."""
        return np.asarray(pd.Index(self.users).get_indexer(ids) + 1, np.int32)

    def item_index(self, ids: Sequence[str] | pd.Series) -> np.ndarray:
        """Positions from 1, int32 of shape (n,)."""
        return np.asarray(pd.Index(self.items).get_indexer(ids) + 1, np.int32)


def item_features(sales: pd.DataFrame, cut: pd.Timestamp, vocabularies: Vocabularies) -> pd.DataFrame:
    """One row per item sold before `cut`: ``item_id``, the categories, the numbers."""
    sales = sales[sales["time"] < cut]
    grouped = sales.groupby("item_id", sort=True)
    raw = pd.DataFrame(
        {
            "recency_days": _days(cut - grouped["time"].max()),
            "age_days": _days(cut - grouped["time"].min()),
            "price": grouped["price"].median(),
            "mean_quantity": grouped["quantity"].mean(),
            "buyers": grouped["user_id"].nunique(),
        }
    )
    raw["repeat_share"] = _repeat_shares(sales, "item_id")
    for days in POPULARITY_DAYS:
        recent = sales[sales["time"] >= cut - pd.Timedelta(days=days)]
        raw[f"buyers_{days}"] = recent.groupby("item_id")["user_id"].nunique().reindex(raw.index).fillna(0)
    words = item_words(grouped["description"].first())
    features = pd.DataFrame({"item_id": raw.index.to_numpy(), "item_index": vocabularies.item_index(raw.index)})
    for number in range(ITEM_WORDS):
        features[f"word_{number + 1}"] = words[:, number]
    return _with_numbers(features, raw, ITEM_NUMBERS)


def user_features(sales: pd.DataFrame, cut: pd.Timestamp, vocabularies: Vocabularies) -> pd.DataFrame:
    """One row per user who bought before `cut`: ``user_id``, the categories, the numbers."""
    sales = sales[sales["time"] < cut]
    grouped = sales.assign(spend=sales["quantity"] * sales["price"]).groupby("user_id", sort=True)
    raw = pd.DataFrame(
        {
            "recency_days": _days(cut - grouped["time"].max()),
            "tenure_days": _days(cut - grouped["time"].min()),
            "orders": grouped["invoice"].nunique(),
            "spend": grouped["spend"].sum(),
            "items": grouped["item_id"].nunique(),
            "mean_price": grouped["price"].mean(),
        }
    )
    raw["items_per_order"] = raw["items"] / raw["orders"]
    raw["repeat_share"] = _repeat_shares(sales, "user_id")
    features = pd.DataFrame({"user_id": raw.index.to_numpy(), "user_index": vocabularies.user_index(raw.index)})
    return _with_numbers(features, raw, USER_NUMBERS)


def item_words(descriptions: pd.Series) -> np.ndarray:
    """The first distinct words of three letters and more, hashed; 0 where there are fewer.

    Returns
    -------
    int32 ndarray of shape (n, ITEM_WORDS)
        In ``[0, WORD_BINS]``.
    """
    kept = [
        list(dict.fromkeys(word for word in _WORD.findall(text) if word not in _STOP_WORDS))[:ITEM_WORDS]
        for text in descriptions
    ]
    words = np.zeros((len(kept), ITEM_WORDS), np.int32)
    filled = np.arange(ITEM_WORDS) < np.array([len(row) for row in kept])[:, None]
    if filled.any():
        words[filled] = xxh3_bucket(np.array([word for row in kept for word in row]), WORD_BINS) + 1
    return words


def _repeat_shares(sales: pd.DataFrame, of: str) -> pd.Series:
    """Of the items that each user ordered, or of the users that ordered each item: the share that did so again."""
    orders = sales.drop_duplicates(["user_id", "item_id", "invoice"]).groupby(["user_id", "item_id"]).size()
    return (orders > 1).groupby(level=of).mean()


def _with_numbers(features: pd.DataFrame, raw: pd.DataFrame, columns: tuple[Scaled, ...]) -> pd.DataFrame:
    for column in columns:
        values = raw[column.source].to_numpy(np.float64)
        features[column.name] = np.minimum(np.log1p(values) / np.log1p(column.cap), 1.0).astype(np.float32)
    return features


def _days(spans: pd.Series) -> pd.Series:
    return spans.dt.total_seconds() / 86_400.0


def feature_spec(vocabularies: Vocabularies) -> FeatureSpec:
    """The spec of the rows that `user_features` and `item_features` make, and of the lists of proposals.

    The ranker takes the numbers; the categories are the towers'.
    """
    sizes = {"user_index": len(vocabularies.users) + 1, "item_index": len(vocabularies.items) + 1}
    user = RowSet(
        name="user", id_column="user_id", id_type="int64", columns=_columns(USER_CATEGORIES, USER_NUMBERS, sizes)
    )
    item = RowSet(
        name="item", id_column="item_id", id_type="string", columns=_columns(ITEM_CATEGORIES, ITEM_NUMBERS, sizes)
    )
    inputs = {"user": USER_NUMBERS, "item": ITEM_NUMBERS}
    numbers = [(row_set, column.name) for row_set, columns in inputs.items() for column in columns]
    pairs = [(CANDIDATE, name) for name in PAIR_COLUMNS]
    return FeatureSpec(
        name="online_retail",
        row_sets=(user, item, candidate_row_set(user, PAIR_COLUMNS, LONGEST_LIST)),
        model_inputs=tuple(
            ModelInput(name=input_name(row_set, column), row_set=row_set, column=column)
            for row_set, column in (*numbers, *pairs)
        ),
        transforms=_transforms(),
        vocabularies={
            "user_id": Vocabulary.of(str(value) for value in vocabularies.users),
            "item_id": Vocabulary.of(vocabularies.items),
        },
    )


def input_name(row_set: str, column: str) -> str:
    """A model input is called ``user_…``, ``item_…`` or ``pair_…`` after the column it takes."""
    prefix = "pair" if row_set == CANDIDATE else row_set
    return column if column.startswith(f"{prefix}_") else f"{prefix}_{column}"


def _columns(categories: tuple[str, ...], numbers: tuple[Scaled, ...], sizes: dict[str, int]) -> tuple[Column, ...]:
    columns = [Column(name=name, type="int32", size=sizes.get(name, WORD_BINS + 1)) for name in categories]
    return (*columns, *(Column(name=column.name, type="float32") for column in numbers))


def _transforms() -> tuple[Transform, ...]:
    steps = [
        Transform(op="string_index", inputs=(source,), outputs=(output,), params={"vocabulary": source})
        for source, output in (("user_id", "user_index"), ("item_id", "item_index"))
    ]
    words = tuple(f"item.word_{number}" for number in range(1, ITEM_WORDS + 1))
    params = {"bins": WORD_BINS, "method": "xxh3", "offset": 1}
    steps.append(Transform(op="hash_encode", inputs=("description",), outputs=words, params=params))
    for row_set, columns in (("user", USER_NUMBERS), ("item", ITEM_NUMBERS)):
        for column in columns:
            steps.append(
                Transform(
                    op="log_scale",
                    inputs=(f"{row_set}.{column.source}",),
                    outputs=(f"{row_set}.{column.name}",),
                    params={"cap": column.cap},
                )
            )
    return tuple(steps)
