"""Small preprocessed tables of the recsys2021 use case, with its planted signal, made without Spark."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from friesian_fast.usecases.recsys2021 import planted

SIZES = {
    "present_media": 13,
    "tweet_type": 3,
    "language": 65,
    "engaged_with_user_id": 3000,
    "enaging_user_id": 3000,
    "tweet_id": 3000,
    "hashtags": 500,
    "present_domains": 300,
    "present_links": 300,
    "present_media_language": 600,
}
COUNTS = [
    f"{role}_{name}" for role in ("engaged_with_user", "enaging_user") for name in ("follower_count", "following_count")
]


def write_preprocessed(directory, rows=3000, seed=0, strength=1.0):
    """Write train_parquet, test_parquet and meta/categorical_sizes.json."""
    (directory / "meta").mkdir(parents=True)
    sizes = SIZES | dict.fromkeys(COUNTS, 7)
    (directory / "meta" / "categorical_sizes.json").write_text(json.dumps(sizes))
    rng = np.random.default_rng(seed)
    for split, count in (("train", rows), ("test", rows // 3)):
        (directory / f"{split}_parquet").mkdir()
        pq.write_table(pa.table(draw(rng, count, strength)), directory / f"{split}_parquet" / "part-00000.parquet")


def draw(rng, count, strength):
    table = {name: rng.integers(0, size + 1, count, dtype=np.int32) for name, size in SIZES.items()}
    table["present_media_language"] %= 600
    for role in ("engaged_with_user", "enaging_user"):
        table[f"{role}_is_verified"] = rng.integers(0, 2, count, dtype=np.int32)
    for name in COUNTS:
        table[name] = rng.choice([0, 1, 2, 3], p=[0.01, 0.01, 0.08, 0.9], size=count).astype(np.int32)
    medium = rng.integers(-1, 3, count)
    tweet_type = rng.integers(0, 3, count)
    links, domains = rng.integers(0, 11, count), rng.integers(0, 11, count)
    table["present_media"] = np.where(medium < 0, 0, 1 + 4 * medium + rng.integers(0, 4, count)).astype(np.int32)
    table["tweet_type"] = tweet_type.astype(np.int32)
    table["len_links"] = (links / 10).astype(np.float32)
    table["len_domains"] = (domains / 10).astype(np.float32)
    table["len_hashtags"] = rng.random(count, dtype=np.float32)
    chance = planted.positive_chance(planted.SignalInputs(tweet_type, medium, links, domains), strength)
    table["label"] = (rng.random(count) < chance).astype(np.int32)
    return table
