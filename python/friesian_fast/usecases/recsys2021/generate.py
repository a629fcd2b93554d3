"""Make raw records: the challenge's schema, random contents, and a planted signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.pointwise import auc
from friesian_fast.train.files import replacing, save_json
from friesian_fast.train.runtime import available_cores
from friesian_fast.usecases.recsys2021 import planted
from friesian_fast.usecases.recsys2021.records import Tweets, draw_engagements, draw_ids, draw_tweets, draw_users
from friesian_fast.usecases.recsys2021.schema import LANGUAGES, RAW_COLUMNS

REPORT = "generator.json"
TRAIN_SHARE = 0.8
MOST_PART_RECORDS = 12_500
FEWEST_PARTS = 4
ZIPF_EXPONENT = 0.8
ZIPF_SHIFT = 10.0
NOISE_CHANCE = 15 / 16

# Only these repeat often enough for a dictionary to be smaller than the values.
_DICTIONARY = ["present_media", "tweet_type", "language", "engagee_follows_engager"]
_SCHEMA = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in RAW_COLUMNS.items()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to generate.

    Parameters
    ----------
    records : int
    seed : int
    signal : float
        1 is the standard signal, 0 the original's noise.
    users, items : int or None
        So many distinct users and tweets, drawn again and again; None makes every one new, as the original does.
    """

    records: int
    seed: int = 0
    signal: float = 1.0
    users: int | None = None
    items: int | None = None

    def __post_init__(self) -> None:
        if self.records < 1:
            raise InvalidInputError(f"cannot generate {self.records} records; ask for at least 1")
        if not (math.isfinite(self.signal) and self.signal >= 0):
            raise InvalidInputError(f"--signal is {self.signal}; it must be 0 (noise) or more, 1 is the standard")
        if (self.users is None) != (self.items is None):
            raise InvalidInputError("--users and --items belong together; give both or none")
        if self.users is not None and self.items is not None and min(self.users, self.items) < 2:
            raise InvalidInputError(f"--users {self.users} --items {self.items}: at least 2 of each are needed")
        if self.seed < 0:
            raise InvalidInputError(f"--seed is {self.seed}; it must be 0 or more")


class Batch(NamedTuple):
    """Some records, their labels and the chance each had of being positive."""

    columns: dict[str, pa.Array]
    labels: NDArray[np.bool_]
    chances: NDArray[np.float64]


class Outcome(NamedTuple):
    """Labels and chances of the records of one split."""

    labels: NDArray[np.bool_]
    chances: NDArray[np.float64]


def generate(settings: Settings, output: Path, *, threads: int = 1) -> dict[str, Any]:
    """Write ``train`` and ``test`` Parquet directories and the report ``generator.json``, all or nothing.

    The same settings give the same bytes, whatever `threads` is. Memory grows with `threads`, not with the records
    (apart from the repeating users and items and 9 bytes a record).

    Parameters
    ----------
    settings : Settings
    output : Path
        Must not exist, or be empty.
    threads : int, default 1

    Returns
    -------
    dict
        The report.

    Raises
    ------
    InvalidInputError
        If `output` holds something.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InvalidInputError(f"{output} is there already and not empty; remove it or name another place")
    draw = _drawer(settings)
    size = min(MOST_PART_RECORDS, math.ceil(settings.records / FEWEST_PARTS))
    sizes = [min(size, settings.records - start) for start in range(0, settings.records, size)]
    with replacing(output) as partial, ThreadPoolExecutor(threads) as pool:
        for split in ("train", "test"):
            (partial / split).mkdir(parents=True)
        numbers = range(len(sizes))
        parts = list(pool.map(lambda part: _write_part(partial, settings.seed, part, sizes[part], draw), numbers))
        for split in ("train", "test"):
            (partial / split / "_SUCCESS").touch()
        report = _report(settings, [part[0] for part in parts], [part[1] for part in parts])
        save_json(report, partial / REPORT)
    return report


def _drawer(settings: Settings) -> Callable[[np.random.Generator, int], Batch]:
    shared = np.random.default_rng([settings.seed, 0])
    languages = draw_ids(shared, LANGUAGES)
    if settings.users is None or settings.items is None:

        def draw_new(rng: np.random.Generator, count: int) -> Batch:
            tweets = draw_tweets(rng, count, languages)
            return _batch(rng, settings.signal, tweets, draw_users(rng, count), draw_users(rng, count), None)

        return draw_new
    users = draw_users(shared, settings.users)
    tweets = draw_tweets(shared, settings.items, languages)
    authors = shared.integers(0, settings.users, settings.items)
    user_vectors = planted.hidden_vectors(shared, settings.users)
    item_vectors = planted.hidden_vectors(shared, settings.items)

    def draw_again(rng: np.random.Generator, count: int) -> Batch:
        user = _draw_popular(rng, len(user_vectors), count)
        item = _draw_popular(rng, len(item_vectors), count)
        affinity = np.einsum("nd,nd->n", user_vectors[user], item_vectors[item])
        author, engaging = _take(users, authors[item]), _take(users, user)
        return _batch(rng, settings.signal, tweets.take(item), author, engaging, affinity)

    return draw_again


def _batch(
    rng: np.random.Generator,
    signal: float,
    tweets: Tweets,
    authors: dict[str, pa.Array],
    users: dict[str, pa.Array],
    affinity: NDArray[np.float64] | None,
) -> Batch:
    chance = planted.positive_chance(tweets.inputs, signal, affinity) if signal > 0 else None
    count = len(tweets.inputs.links)
    engagements, labels = draw_engagements(rng, count, chance)
    columns = tweets.columns | engagements
    columns |= {f"engaged_with_user_{name}": column for name, column in authors.items()}
    columns |= {f"enaging_user_{name}": column for name, column in users.items()}
    return Batch(columns, labels, np.full(count, NOISE_CHANCE) if chance is None else chance)


def _draw_popular(rng: np.random.Generator, population: int, count: int) -> NDArray[np.int64]:
    """Members of a population, the first the most popular, after Zipf and Mandelbrot."""
    weights = (np.arange(population) + ZIPF_SHIFT) ** -ZIPF_EXPONENT
    total = np.cumsum(weights)
    member = np.searchsorted(total, rng.random(count) * total[-1], side="right")
    within: NDArray[np.int64] = np.minimum(member, population - 1)
    return within


def _take(columns: dict[str, pa.Array], rows: NDArray[np.int64]) -> dict[str, pa.Array]:
    return {name: column.take(rows) for name, column in columns.items()}


def _write_part(
    directory: Path, seed: int, part: int, count: int, draw: Callable[[np.random.Generator, int], Batch]
) -> tuple[Outcome, Outcome]:
    """Draw one part's records from its own seed and write them, split."""
    rng = np.random.default_rng([seed, 1, part])
    batch = draw(rng, count)
    table = pa.table([batch.columns[name] for name in RAW_COLUMNS], schema=_SCHEMA)
    in_train = rng.random(count) < TRAIN_SHARE
    outcomes = []
    for split, mask in (("train", in_train), ("test", ~in_train)):
        path = directory / split / f"part-{part:05d}.snappy.parquet"
        rows = np.flatnonzero(mask)
        pq.write_table(table.take(rows), path, compression="snappy", use_dictionary=_DICTIONARY, store_schema=False)
        outcomes.append(Outcome(batch.labels[rows], batch.chances[rows]))
    return outcomes[0], outcomes[1]


def _report(settings: Settings, train: list[Outcome], test: list[Outcome]) -> dict[str, Any]:
    return {
        "records": settings.records,
        "seed": settings.seed,
        "signal": settings.signal,
        "users": settings.users,
        "items": settings.items,
        "train": _describe(train),
        "test": _describe(test),
    }


def _describe(parts: list[Outcome]) -> dict[str, Any]:
    labels = np.concatenate([part.labels for part in parts])
    chances = np.concatenate([part.chances for part in parts])
    mixed = 0 < labels.sum() < len(labels)
    return {
        "rows": len(labels),
        "positive_rate": round(float(labels.mean()), 6) if len(labels) else None,
        # Of the true chances, which no model can beat but by luck.
        "optimum_auc": round(auc(labels.astype(np.float64), chances), 6) if mixed else None,
    }


@reported
def main(
    num_samples: Annotated[int, typer.Argument(help="How many records.", metavar="N")],
    output_path: Annotated[Path, typer.Argument(help="Gets train/, test/ and generator.json.", metavar="OUT")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    signal: Annotated[float, typer.Option(help="Strength of the planted signal; 0 is the original's noise.")] = 1.0,
    users: Annotated[int | None, typer.Option(help="Draw from so many users, with --items.")] = None,
    items: Annotated[int | None, typer.Option(help="Draw from so many tweets, with --users.")] = None,
    executor_cores: Annotated[
        int | None, typer.Option("--executor_cores", help="Threads; all cores if not given.")
    ] = None,
    executor_memory: Annotated[
        str | None, typer.Option("--executor_memory", help="Accepted; has no effect here.")
    ] = None,
    num_executors: Annotated[int | None, typer.Option("--num_executors", help="Accepted; has no effect here.")] = None,
) -> None:
    """Write N raw records, split 80 to 20, with the best AUC that a model can reach.

    Example: generate 100000 data
    """
    settings = Settings(records=num_samples, seed=seed, signal=signal, users=users, items=items)
    report = generate(settings, output_path, threads=min(executor_cores or available_cores(), available_cores()))
    for split in ("train", "test"):
        told = report[split]
        print(
            f"{split}: {told['rows']} rows, {told['positive_rate']} positive, best possible AUC {told['optimum_auc']}"
        )


if __name__ == "__main__":
    typer.run(main)
