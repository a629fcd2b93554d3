"""Raw records to training tables, feature rows and the FeatureSpec."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from friesian_fast._files import replacing_directory
from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.feature import FeatureTable, StringIndex
from friesian_fast.feature.fit import ColumnStats, StatsRequest, VocabularyRequest, gather
from friesian_fast.feature.numeric import scale_bounds
from friesian_fast.feature.plan import Part
from friesian_fast.feature.scan import FileSource, null_counts
from friesian_fast.feature.session import cluster_master, cluster_options, get_session, stop_session
from friesian_fast.feature.tasks import scratch_in
from friesian_fast.usecases.recsys2021.feature_spec import (
    COUNT_EDGES,
    ITEM_COLUMNS,
    MEDIA_IDS,
    TWEET_TYPE_IDS,
    USER_COLUMNS,
    categorical_sizes,
    recsys_spec,
)
from friesian_fast.usecases.recsys2021.raw_features import engaged, first_two_media, token_count
from friesian_fast.usecases.recsys2021.schema import LABEL_COLUMNS, RAW_COLUMNS

VERIFIED = ["engaged_with_user_is_verified", "enaging_user_is_verified"]
COUNTS = [
    "engaged_with_user_follower_count",
    "engaged_with_user_following_count",
    "enaging_user_follower_count",
    "enaging_user_following_count",
]
USER_IDS = ["engaged_with_user_id", "enaging_user_id"]
LISTS = ["hashtags", "present_domains", "present_links"]
LENGTHS = {"len_hashtags": "hashtags", "len_domains": "present_domains", "len_links": "present_links"}
ROLES = ("engaged_with_user", "enaging_user")
_USED = {*VERIFIED, *COUNTS, *USER_IDS, *LISTS, *LABEL_COLUMNS, "present_media", "tweet_type", "language", "tweet_id"}


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is learnt from the data."""

    indices: dict[str, StringIndex]
    bounds: dict[str, tuple[float, float]]


def read_raw(data_dir: Path, train_files: str) -> tuple[FeatureTable, FeatureTable]:
    """The raw tables, train and test, checked.

    Parameters
    ----------
    data_dir : Path
        Holds ``train`` and ``test``.
    train_files : str
        ``all``, or ``a-b`` for the parts a to b of ``train``.
    """
    if not data_dir.is_dir():
        raise NotFoundError(f"there is no directory {data_dir}; run the generate step, or correct --data_dir")
    train = FeatureTable.read_parquet(_train_paths(data_dir / "train", train_files))
    test = FeatureTable.read_parquet(data_dir / "test")
    for path, table in ((data_dir / "train", train), (data_dir / "test", test)):
        _require_usable(path, table.parts[0])
    _require_values(data_dir / "train", train.parts[0])
    return train, test


def clean(table: FeatureTable) -> FeatureTable:
    """Steps 2 to 4: integers, no nulls, fixed codes, lengths. Nulls that the original left in are 0 here."""
    table = table.cast([*VERIFIED, *COUNTS, *LABEL_COLUMNS], "int")
    table = table.fillna(0, [*LABEL_COLUMNS, *VERIFIED, *COUNTS])
    table = table.fillna("", ["present_media", *LISTS])
    table = table.map_arrow("present_media", "present_media", first_two_media)
    table = table.encode_fixed("present_media", MEDIA_IDS).encode_fixed("tweet_type", TWEET_TYPE_IDS)
    for length, column in LENGTHS.items():
        table = table.map_arrow(column, length, token_count)
    return table


def fit(session: Any, train: FeatureTable, test: FeatureTable) -> Fitted:
    """All vocabularies and bounds, in one pass: users and tweets over both tables, the others over train."""
    both = (*train.parts, *test.parts)
    requests = {
        "language": VocabularyRequest(parts=train.parts, columns=("language",)),
        "user_id": VocabularyRequest(parts=both, columns=tuple(USER_IDS)),
        "tweet_id": VocabularyRequest(parts=both, columns=("tweet_id",)),
        **{name: VocabularyRequest(parts=train.parts, columns=(name,), separator="\t") for name in LISTS},
    }
    stats = StatsRequest(parts=train.parts, columns=tuple(LENGTHS))
    *files, lengths = gather(session, [*requests.values(), stats])
    found: dict[str, ColumnStats] = lengths
    return Fitted(
        {name: StringIndex.from_file(file, name) for name, file in zip(requests, files, strict=True)},
        {name: scale_bounds(name, one) for name, one in found.items()},
    )


def encode(table: FeatureTable, fitted: Fitted, cross_sizes: int) -> FeatureTable:
    """Steps 5 to 13 with what was fitted; what is unknown becomes 0."""
    users = fitted.indices["user_id"]
    whole = ["language", *USER_IDS, "tweet_id"]
    table = table.encode_string(whole, [fitted.indices["language"], users, users, fitted.indices["tweet_id"]])
    lists = [fitted.indices[name] for name in LISTS]
    table = table.encode_string(LISTS, lists, do_split=True, sep="\t", keep_most_frequent=True)
    table = table.fillna(0, [*whole, *LISTS])
    table = table.cut_bins(COUNTS, list(COUNT_EDGES), out_cols=COUNTS)
    table = table.cross_columns([["present_media", "language"]], [cross_sizes])
    table = table.transform_min_max_scale(list(LENGTHS), fitted.bounds)
    return table.map_arrow(list(LABEL_COLUMNS), "label", engaged)


def write_rows(encoded: FeatureTable, directory: Path) -> None:
    """``wnd_user.parquet`` and ``wnd_item.parquet``: the distinct rows.

    A user whose values changed has a row for each; rows are sorted, so that whoever takes the last takes the same.
    """
    roles = []
    for role in ROLES:
        names = {f"{role}_{name.removeprefix('user_')}": name for name in USER_COLUMNS}
        roles.append(encoded.select(list(names)).rename(names))
    roles[1].concat(roles[0]).drop_duplicates().write_parquet(directory / "wnd_user.parquet")
    encoded.select(list(ITEM_COLUMNS)).drop_duplicates().write_parquet(directory / "wnd_item.parquet")


def preprocess(
    session: Any,
    train: FeatureTable,
    test: FeatureTable,
    cross_sizes: int,
    output: Path,
    tell: Callable[[str], None] = lambda step: None,
) -> None:
    """Write all outputs to the directory `output`, which is replaced whole.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
    train, test : FeatureTable
        The raw records, from `read_raw`.
    cross_sizes : int
        Buckets of present_media × language.
    output : Path
    tell : callable
        Gets a line as each step begins.
    """
    with replacing_directory(output) as building, scratch_in(building / ".work"):
        train, test = clean(train), clean(test)
        tell(f"counting the values of {train.size() + test.size():,} records")
        fitted = fit(session, train, test)
        train, test = (encode(table, fitted, cross_sizes) for table in (train, test))
        tables = {"train_parquet": train, "test_parquet": test}
        for name, table in tables.items():
            tell(f"writing {name}")
            table.write_parquet(building / name)
        tell("writing the distinct rows of users and items")
        write_rows(FeatureTable.read_parquet([building / name for name in tables]), building)
        _write_meta(train, fitted, cross_sizes, building / "meta")
        shutil.rmtree(building / ".work")


def _write_meta(train: FeatureTable, fitted: Fitted, cross_sizes: int, meta: Path) -> None:
    """The sizes, the spec, and the vocabularies it pins (the column ``value`` of Arrow files, in id order)."""
    sizes = categorical_sizes({name: index.size() for name, index in fitted.indices.items()}, cross_sizes)
    (meta / "vocabularies").mkdir(parents=True)
    (meta / "categorical_sizes.json").write_text(json.dumps(sizes, indent=2) + "\n", encoding="utf-8")
    pinned = {name: file.pinned for name, file in train.vocabularies.items()}
    recsys_spec(sizes, train.transforms, pinned).save(meta / "spec.json")
    for name, file in train.vocabularies.items():
        Path(file.path).replace(meta / "vocabularies" / f"{name}.arrow")


def _train_paths(train: Path, train_files: str) -> list[Path]:
    if train_files == "all":
        return [train]
    match = re.fullmatch(r"(\d+)-(\d+)", train_files)
    if not match or int(match[1]) > int(match[2]):
        raise InvalidInputError(f"--train_files is '{train_files}'; write all, or a range of parts such as 0-269")
    if not train.is_dir():
        raise NotFoundError(f"there is no directory {train}; run the generate step, or correct --data_dir")
    paths = []
    for number in range(int(match[1]), int(match[2]) + 1):
        found = sorted(train.glob(f"part-{number:05d}*.parquet"))
        if not found:
            raise NotFoundError(
                f"there is no {train}/part-{number:05d}*.parquet, which --train_files {train_files} names"
            )
        paths += found
    return paths


def _require_usable(path: Path, part: Part) -> None:
    """Rows, and the columns that are used, in types that they can be."""
    assert isinstance(part.source, FileSource)
    schema = part.source.schema
    for name, wanted in RAW_COLUMNS.items():
        if name not in _USED:
            continue
        if name not in schema.names:
            raise InvalidInputError(f"{path} has no column '{name}'; it has {', '.join(schema.names)}")
        found = schema.field(name).type
        text = pa.types.is_string(found) or pa.types.is_large_string(found)
        whole = pa.types.is_integer(found) or (wanted == "bool" and pa.types.is_boolean(found))
        if not (text if wanted == "string" else whole):
            raise InvalidInputError(f"{path}: column '{name}' has type {found}; it must be {wanted}")
    if part.source.rows == 0:
        raise InvalidInputError(f"{path} has no rows; check the step that wrote it")


def _require_values(path: Path, part: Part) -> None:
    """No used column is null throughout; of the timestamps at least one is not."""
    assert isinstance(part.source, FileSource)
    counts, rows = null_counts(part.source), part.source.rows
    empty = [name for name in RAW_COLUMNS if name in _USED and counts.get(name, 0) == rows]
    wrong = [name for name in empty if name not in LABEL_COLUMNS]
    if wrong:
        raise InvalidInputError(f"{path}: column '{wrong[0]}' is null in all {rows} rows; check the step that wrote it")
    if len(empty) == len(LABEL_COLUMNS):
        raise InvalidInputError(
            f"{path}: the columns {', '.join(empty)} are null in all {rows} rows, so none is positive"
        )


@reported
def main(
    data_dir: Annotated[Path, typer.Option("--data_dir", help="Holds train/ and test/; gets preprocessed/.")],
    cross_sizes: Annotated[int, typer.Option("--cross_sizes", help="Buckets of present_media x language.")] = 600,
    train_files: Annotated[str, typer.Option("--train_files", help="all, or parts a-b of train.")] = "all",
    executor_cores: Annotated[int, typer.Option("--executor_cores", help="Cores of an executor.")] = 44,
    executor_memory: Annotated[str, typer.Option("--executor_memory", help="Memory of an executor.")] = "6g",
    num_executor: Annotated[
        int, typer.Option("--num_executor", "--num_executors", help="Executors; of no effect locally.")
    ] = 8,
    cluster_mode: Annotated[
        str, typer.Option("--cluster_mode", help="local, standalone, yarn, spark-submit.")
    ] = "local",
    master: Annotated[str | None, typer.Option("--master", help="A Spark master.")] = None,
    driver_cores: Annotated[int | None, typer.Option("--driver_cores", help="Accepted, has no effect here.")] = None,
    driver_memory: Annotated[
        str | None, typer.Option("--driver_memory", help="The JVM's heap; --executor_memory if not given.")
    ] = None,
) -> None:
    """Make preprocessed/ out of train/ and test/; an earlier one is replaced.

    Example: friesian recsys2021 preprocess --data_dir data --cross_sizes 600
    """
    started = time.monotonic()
    if not 1 <= cross_sizes < 2**31:
        raise InvalidInputError(f"--cross_sizes is {cross_sizes}; it must be from 1 to 2147483647")
    chosen = cluster_master(cluster_mode, master, executor_cores)
    options = cluster_options(chosen, executor_cores, executor_memory, num_executor)
    train, test = read_raw(data_dir, train_files)
    print("starting Spark", flush=True)
    session = get_session(chosen, app="recsys2021 preprocess", memory=driver_memory or executor_memory, options=options)
    try:
        preprocess(session, train, test, cross_sizes, data_dir / "preprocessed", partial(print, flush=True))
    finally:
        stop_session()
    print(f"Preprocessing and save time: {time.monotonic() - started:.2f}")


if __name__ == "__main__":
    typer.run(main)
