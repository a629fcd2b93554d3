"""User and item features as they stood at a moment: only sales before it are seen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from friesian_fast.hashing import xxh3_bucket
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet, Transform, Vocabulary

WORD_BINS = 512
ITEM_WORDS = 4
USER_WORDS = 3
_WORD = re.compile(r"[A-Z]{3,}")
_STOP_WORDS = frozenset({"THE", "AND", "WITH", "FOR", "SET", "PACK", "ASSORTED", "SMALL", "LARGE"})


@dataclass(frozen=True, slots=True)
class Binned:
    """Which interval between `edges` the value of `source` is in: an integer in ``[0, len(edges)]``."""

    name: str
    source: str
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scaled:
    """``log(1 + source) / log(1 + cap)``, at most 1."""

    name: str
    source: str
    cap: float


Numeric = Binned | Scaled

_DAYS = (7.0, 14.0, 28.0, 56.0, 91.0, 182.0)
_PRICES = (0.5, 0.85, 1.25, 1.65, 2.1, 2.95, 4.25, 8.0)
USER_NUMERIC: tuple[Numeric, ...] = (
    Binned("recency_bin", "recency_days", _DAYS),
    Binned("frequency_bin", "orders", (2.0, 3.0, 4.0, 6.0, 10.0, 20.0)),
    Binned("spend_bin", "spend", (150.0, 300.0, 600.0, 1200.0, 2400.0, 5000.0)),
    Binned("variety_bin", "items", (5.0, 15.0, 30.0, 60.0, 120.0, 250.0)),
    Binned("price_bin", "mean_price", _PRICES),
    Scaled("recency", "recency_days", 365.0),
    Scaled("frequency", "orders", 100.0),
    Scaled("spend", "spend", 100_000.0),
    Scaled("variety", "items", 1000.0),
)
ITEM_NUMERIC: tuple[Numeric, ...] = (
    Binned("price_bin", "price", _PRICES),
    Binned("popularity_bin", "buyers_28", (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)),
    Binned("recency_bin", "recency_days", (1.0, 3.0, *_DAYS)),
    Binned("age_bin", "age_days", _DAYS),
    Scaled("popularity_28", "buyers_28", 300.0),
    Scaled("popularity_91", "buyers_91", 600.0),
    Scaled("popularity", "buyers", 1000.0),
    Scaled("rate", "buyers_per_28_days", 100.0),
    Scaled("price", "price", 50.0),
    Scaled("quantity", "mean_quantity", 500.0),
)
USER_CATEGORIES = ("user_index", "country", *(f"word_{n}" for n in range(1, USER_WORDS + 1)))
ITEM_CATEGORIES = ("item_index", *(f"word_{n}" for n in range(1, ITEM_WORDS + 1)))


class Vocabularies:
    """Users, items and countries seen before the split; position 0 is for all others."""

    def __init__(self, sales: pd.DataFrame) -> None:
        self.users = np.sort(sales["user_id"].unique())
        self.items = np.sort(sales["item_id"].unique().astype(str)).astype(object)
        self.countries = sales["country"].value_counts().sort_index().sort_values(ascending=False, kind="stable").index

    def user_index(self, ids: Sequence[int] | pd.Series) -> np.ndarray:
        """Positions from 1, int32 of shape (n,)."""
        return np.asarray(pd.Index(self.users).get_indexer(ids) + 1, np.int32)

    def item_index(self, ids: Sequence[str] | pd.Series) -> np.ndarray:
        """Positions from 1, int32 of shape (n,)."""
        return np.asarray(pd.Index(self.items).get_indexer(ids) + 1, np.int32)

    def country_index(self, names: pd.Series) -> np.ndarray:
        """Positions from 1 by falling frequency, int32 of shape (n,)."""
        return np.asarray(self.countries.get_indexer(names) + 1, np.int32)


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
    for days in (28, 91):
        recent = sales[sales["time"] >= cut - pd.Timedelta(days=days)]
        raw[f"buyers_{days}"] = recent.groupby("item_id")["user_id"].nunique().reindex(raw.index).fillna(0)
    raw["buyers_per_28_days"] = raw["buyers"] * 28.0 / np.maximum(raw["age_days"], 28.0)
    words = item_words(grouped["description"].first())
    features = pd.DataFrame({"item_id": raw.index.to_numpy(), "item_index": vocabularies.item_index(raw.index)})
    for number in range(ITEM_WORDS):
        features[f"word_{number + 1}"] = words[:, number]
    return _with_numbers(features, raw, ITEM_NUMERIC)


def user_features(sales: pd.DataFrame, cut: pd.Timestamp, vocabularies: Vocabularies) -> pd.DataFrame:
    """One row per user who bought before `cut`: ``user_id``, the categories, the numbers."""
    sales = sales[sales["time"] < cut]
    grouped = sales.assign(spend=sales["quantity"] * sales["price"]).groupby("user_id", sort=True)
    raw = pd.DataFrame(
        {
            "recency_days": _days(cut - grouped["time"].max()),
            "orders": grouped["invoice"].nunique(),
            "spend": grouped["spend"].sum(),
            "items": grouped["item_id"].nunique(),
            "mean_price": grouped["price"].mean(),
        }
    )
    features = pd.DataFrame({"user_id": raw.index.to_numpy(), "user_index": vocabularies.user_index(raw.index)})
    features["country"] = vocabularies.country_index(grouped["country"].last())
    words = _favourite_words(sales, raw.index)
    for number in range(USER_WORDS):
        features[f"word_{number + 1}"] = words[:, number]
    return _with_numbers(features, raw, USER_NUMERIC)


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


def _favourite_words(sales: pd.DataFrame, users: pd.Index) -> np.ndarray:
    """Each user's most telling words: tf-idf over the distinct items bought."""
    bought = sales[["user_id", "item_id", "description"]].drop_duplicates(["user_id", "item_id"])
    items = bought.drop_duplicates("item_id").set_index("item_id")["description"]
    hashed = pd.DataFrame(item_words(items), index=items.index).stack().rename("word").reset_index("item_id")
    pairs = bought[["user_id", "item_id"]].merge(hashed[hashed["word"] > 0], on="item_id")
    counts = pairs.groupby(["user_id", "word"]).size().rename("count").reset_index()
    users_with = counts.groupby("word")["user_id"].transform("size")
    counts["weight"] = counts["count"] * np.log(len(users) / users_with)
    counts = counts.sort_values(["user_id", "weight", "word"], ascending=[True, False, True])
    counts["rank"] = counts.groupby("user_id").cumcount()
    top = counts[counts["rank"] < USER_WORDS]
    words = np.zeros((len(users), USER_WORDS), np.int32)
    words[users.get_indexer(top["user_id"]), top["rank"]] = top["word"]
    return words


def _with_numbers(features: pd.DataFrame, raw: pd.DataFrame, columns: tuple[Numeric, ...]) -> pd.DataFrame:
    for column in columns:
        values = raw[column.source].to_numpy(np.float64)
        if isinstance(column, Binned):
            features[column.name] = np.digitize(values, column.edges).astype(np.int32)
        else:
            features[column.name] = np.minimum(np.log1p(values) / np.log1p(column.cap), 1.0).astype(np.float32)
    return features


def _days(spans: pd.Series) -> pd.Series:
    return spans.dt.total_seconds() / 86_400.0


def feature_spec(vocabularies: Vocabularies) -> FeatureSpec:
    """The spec of the rows that `user_features` and `item_features` make."""
    sizes = {
        "user_index": len(vocabularies.users) + 1,
        "item_index": len(vocabularies.items) + 1,
        "country": len(vocabularies.countries) + 1,
    }
    user = _columns(USER_CATEGORIES, USER_NUMERIC, sizes)
    item = _columns(ITEM_CATEGORIES, ITEM_NUMERIC, sizes)
    named = {"user": user, "item": item}
    return FeatureSpec(
        name="online_retail",
        row_sets=(
            RowSet(name="user", id_column="user_id", id_type="int64", columns=user),
            RowSet(name="item", id_column="item_id", id_type="string", columns=item),
        ),
        model_inputs=tuple(
            ModelInput(name=input_name(row_set, column.name), row_set=row_set, column=column.name)
            for row_set, columns in named.items()
            for column in columns
        ),
        transforms=_transforms(),
        vocabularies={
            "user_id": Vocabulary.of(str(value) for value in vocabularies.users),
            "item_id": Vocabulary.of(vocabularies.items),
            "country": Vocabulary.of(vocabularies.countries),
        },
    )


def input_name(row_set: str, column: str) -> str:
    """A ranker input is called ``user_…`` or ``item_…`` after the column it takes."""
    return column if column.startswith(f"{row_set}_") else f"{row_set}_{column}"


def _columns(categories: tuple[str, ...], numeric: tuple[Numeric, ...], sizes: dict[str, int]) -> tuple[Column, ...]:
    columns = [Column(name=name, type="int32", size=sizes.get(name, WORD_BINS + 1)) for name in categories]
    for column in numeric:
        if isinstance(column, Binned):
            columns.append(Column(name=column.name, type="int32", size=len(column.edges) + 1))
        else:
            columns.append(Column(name=column.name, type="float32"))
    return tuple(columns)


def _transforms() -> tuple[Transform, ...]:
    steps = [
        Transform(op="string_index", inputs=(source,), outputs=(output,), params={"vocabulary": source})
        for source, output in (("user_id", "user_index"), ("item_id", "item_index"), ("country", "country"))
    ]
    for row_set, count in (("item", ITEM_WORDS), ("user", USER_WORDS)):
        outputs = tuple(f"{row_set}.word_{number}" for number in range(1, count + 1))
        params = {"bins": WORD_BINS, "method": "xxh3", "offset": 1}
        steps.append(Transform(op="hash_encode", inputs=("description",), outputs=outputs, params=params))
    for row_set, columns in (("user", USER_NUMERIC), ("item", ITEM_NUMERIC)):
        for column in columns:
            binned = isinstance(column, Binned)
            steps.append(
                Transform(
                    op="cut_bins" if binned else "log_scale",
                    inputs=(f"{row_set}.{column.source}",),
                    outputs=(f"{row_set}.{column.name}",),
                    params={"edges": list(column.edges)} if isinstance(column, Binned) else {"cap": column.cap},
                )
            )
    return tuple(steps)
