"""What is benched of `FeatureTable`: each operation, the original's way of it, its figure, and how to check it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.baselines import categories, numbers, sequences
from bench.e2e import feature_checks as check
from bench.e2e.feature_data import COUNTS, HISTORY, ITEMS

from friesian_fast.feature import FeatureTable

_EDGES = [10.0, 100.0, 1000.0, 5000.0]
_BOUNDS = dict.fromkeys(COUNTS, (0.0, 10000.0))
_TEXTS = ["language", "media", "type"]
_CLICKS = ["user", "item", "time", "label"]
_LISTED = ["user", "item", "item_hist_seq", "time", "label"]

# CPU seconds of the original's scans of the same columns, by what they read.
_SCANS = {"id": 0.52, "texts": 0.65, "counts": 0.43, "links": 0.33, "clicks": 0.46, "listed": 0.78}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One operation.

    Parameters
    ----------
    name : str
    data : str
        The directory it reads.
    columns : list of str
        The columns it reads.
    ours : function of FeatureTable
        Gives what is written by ``write_parquet``.
    theirs : function of DataFrame
        The baseline.
    original : float
        CPU seconds of the original on 1M rows, into no sink.
    tuned : bool
        Whether that is with 4 shuffle partitions; else with 200, as shipped.
    scan : str
        Whose scan to subtract from `original`.
    check : function
        Gets the written rows of both sides, and the raw ones; asserts.
    target : int
        At least so many times less than the original; 0 for none.
    """

    name: str
    data: str = "base"
    columns: list[str]
    ours: Callable[[FeatureTable], Any]
    theirs: Callable[[Any], Any]
    original: float
    tuned: bool = False
    scan: str
    check: Callable[[Any, Any, Any], None] = check.same
    target: int = 0

    @property
    def original_net(self) -> float:
        """Without the scan."""
        return self.original - _SCANS[self.scan]

    def read(self, directory: Path) -> FeatureTable:
        """Its input."""
        return FeatureTable.read_parquet(directory / self.data).select(self.columns)


def _hashes() -> list[Case]:
    crosses = [["language", "media"], ["type", "media"]]
    three = [["language", "media", "type"]]
    return [
        Case(
            name="hash_encode id, 1000 bins",
            columns=["tweet_id"],
            ours=lambda table: table.hash_encode("tweet_id", 1000),
            theirs=lambda frame: categories.hash_encode(frame, ["tweet_id"], 1000),
            original=3.74,
            tuned=True,
            scan="id",
            target=8,
        ),
        Case(
            name="hash_encode language, 1000 bins",
            columns=["language"],
            ours=lambda table: table.hash_encode("language", 1000),
            theirs=lambda frame: categories.hash_encode(frame, ["language"], 1000),
            original=3.37,
            scan="id",
            target=8,
        ),
        Case(
            name="cross_hash_encode, 2 columns",
            columns=_TEXTS,
            ours=lambda table: table.cross_hash_encode(crosses[:1], [600]),
            theirs=lambda frame: categories.cross_hash_encode(frame, crosses[:1], [600]),
            original=4.04,
            scan="texts",
            target=8,
        ),
        Case(
            name="cross_hash_encode, 3 columns",
            columns=_TEXTS,
            ours=lambda table: table.cross_hash_encode(three, [1000]),
            theirs=lambda frame: categories.cross_hash_encode(frame, three, [1000]),
            original=4.05,
            scan="texts",
            target=8,
        ),
        Case(
            name="cross_hash_encode, 2 crosses",
            columns=_TEXTS,
            ours=lambda table: table.cross_hash_encode(crosses, [100, 200]),
            theirs=lambda frame: categories.cross_hash_encode(frame, crosses, [100, 200]),
            original=6.37,
            scan="texts",
            target=8,
        ),
    ]


def _numbers() -> list[Case]:
    return [
        Case(
            name="cut_bins, 4 columns",
            columns=COUNTS,
            ours=lambda table: table.cut_bins(COUNTS, _EDGES),
            theirs=lambda frame: numbers.cut_bins(frame, COUNTS, _EDGES),
            original=0.68,
            scan="counts",
        ),
        Case(
            name="min_max_scale, 4 columns",
            columns=COUNTS,
            ours=lambda table: table.min_max_scale(COUNTS)[0],
            theirs=lambda frame: numbers.min_max_scale(frame, COUNTS),
            original=15.46,
            scan="counts",
            target=8,
        ),
        Case(
            name="transform_min_max_scale, 4 columns",
            columns=COUNTS,
            ours=lambda table: table.transform_min_max_scale(COUNTS, _BOUNDS),
            theirs=lambda frame: numbers.transform_min_max_scale(frame, _BOUNDS),
            original=4.40,
            scan="counts",
            target=8,
        ),
        Case(
            name="fillna + clip + log, 4 columns",
            columns=COUNTS,
            ours=lambda table: table.fillna(0, COUNTS).clip(COUNTS, 0, 5000).log(COUNTS),
            theirs=lambda frame: numbers.fill_clip_log(frame, COUNTS),
            original=1.11,
            scan="counts",
            check=check.close,
        ),
        Case(
            name="median, 4 columns",
            columns=COUNTS,
            ours=lambda table: table.median(COUNTS),
            theirs=lambda frame: numbers.median(frame, COUNTS),
            original=1.78,
            scan="counts",
            check=check.medians,
        ),
        Case(
            name="apply: count tokens",
            columns=["present_links"],
            ours=lambda table: table.map_arrow("present_links", "count", check.token_count),
            theirs=lambda frame: numbers.count_tokens(frame, "present_links"),
            original=3.03,
            scan="links",
        ),
    ]


def _indices() -> list[Case]:
    return [
        Case(
            name=f"gen_string_idx {column}",
            columns=[column],
            ours=lambda table, column=column: table.gen_string_idx(column),
            theirs=lambda frame, column=column: categories.gen_string_idx(frame, column),
            original=original,
            tuned=tuned,
            scan="id",
            check=check.index,
        )
        for column, original, tuned in (("language", 4.93, False), ("tweet_id", 4.01, True), ("str200k", 4.86, False))
    ] + [
        Case(
            name="gen_string_idx present_links, do_split",
            columns=["present_links"],
            ours=lambda table: table.gen_string_idx("present_links", do_split=True),
            theirs=lambda frame: categories.gen_string_idx_split(frame, "present_links"),
            original=13.93,
            scan="links",
            check=check.index,
            target=4,
        ),
    ]


def _encodings() -> list[Case]:
    rows = (
        ("gen_string_idx + encode_string language", "language", 3.77, False, {}),
        ("gen_string_idx + encode_string str200k", "str200k", 7.85, False, {}),
        ("gen_string_idx + encode_string id, not broadcast", "tweet_id", 6.35, True, {"broadcast": False}),
        ("category_encode str200k", "str200k", 4.61, True, {}),
        ("category_encode id", "tweet_id", 5.60, True, {}),
    )
    cases = [
        Case(
            name=name,
            columns=[column],
            ours=lambda table, column=column: table.category_encode(column)[0],
            theirs=lambda frame, column=column, options=options: categories.encode_string(
                frame, column, categories.gen_string_idx(frame, column), **options
            ),
            original=original,
            tuned=tuned,
            scan="id",
            check=check.encoded,
        )
        for name, column, original, tuned, options in rows
    ]
    limited = Case(
        name="category_encode str200k, freq_limit=3",
        columns=["str200k"],
        ours=lambda table: table.category_encode("str200k", freq_limit=3, order_by_freq=True)[0],
        theirs=lambda frame: categories.category_encode(frame, "str200k", 3, by_frequency=True),
        original=6.74,
        scan="id",
        check=check.encoded,
    )
    return [*cases, limited]


def _targets() -> list[Case]:
    def case(name: str, cats: list[str], kfold: int, original: float, **more: Any) -> Case:
        return Case(
            name=name,
            columns=[*cats, "label", *COUNTS],  # so that rows differ: equal ones share a fold
            ours=lambda table: table.target_encode(cats, "label", kfold=kfold)[0],
            theirs=lambda frame: categories.target_encode(frame, cats, "label", kfold),
            original=original,
            scan="id",
            check=check.target_codes,
            **more,
        )

    return [
        case("target_encode language, 5 folds", ["language"], 5, 3.37, tuned=True),
        case("target_encode str200k, 5 folds", ["str200k"], 5, 11.17, tuned=True, target=4),
        case("target_encode 2 columns, 2 folds", ["language", "str200k"], 2, 45.03),
        Case(
            name="one_hot_encode type",
            columns=["type_id"],
            ours=lambda table: table.one_hot_encode("type_id"),
            theirs=lambda frame: categories.one_hot_encode(frame, "type_id"),
            original=3.38,
            scan="id",
            target=4,
        ),
    ]


def _histories() -> list[Case]:
    def case(name: str, original: float, most: int, last: int | None = None) -> Case:
        more = {} if last is None else {"num_seqs": last}
        return Case(
            name=name,
            data="hist",
            columns=_CLICKS,
            ours=lambda table: table.add_hist_seq(["item"], "user", "time", 1, most, **more),
            theirs=lambda frame: sequences.add_hist_seq(frame, most, last),
            original=original,
            tuned=True,
            scan="clicks",
            check=check.histories,
            target=4,
        )

    return [
        case("add_hist_seq, max_len=10", 4.01, HISTORY),
        case("add_hist_seq, max_len=100", 4.38, 100),
        case("add_hist_seq, max_len=100, num_seqs=1", 1.53, 100, 1),
        Case(
            name="add_hist_seq + add_neg_hist_seq + pad",
            data="hist",
            columns=_CLICKS,
            ours=lambda table: (
                table.add_hist_seq(["item"], "user", "time", 1, HISTORY)
                .add_neg_hist_seq(ITEMS, "item_hist_seq", 5)
                .pad(["item_hist_seq"], HISTORY)
            ),
            theirs=lambda frame: sequences.pad(
                sequences.add_neg_hist_seq(sequences.add_hist_seq(frame, HISTORY), ITEMS, 5), "item_hist_seq", HISTORY
            ),
            original=25.61,
            scan="clicks",
            check=check.negative_lists,
        ),
    ]


def _lists() -> list[Case]:
    column = "item_hist_seq"
    rows = (
        ("mask, 10", lambda table: table.mask(column, 10), lambda frame: sequences.mask(frame, column, 10), 2.11),
        ("pad, 10", lambda table: table.pad(column, 10), lambda frame: sequences.pad(frame, column, 10), 2.03),
        (
            "pad, 10, with mask_cols",
            lambda table: table.pad(column, 10, mask_cols=column),
            lambda frame: sequences.pad(frame, column, 10, masked=True),
            2.89,
        ),
    )
    shared = {"data": "listed", "columns": _LISTED, "scan": "listed"}
    return [
        Case(name=name, ours=ours, theirs=theirs, original=original, check=check.histories, **shared)
        for name, ours, theirs, original in rows
    ] + [
        Case(
            name="add_neg_hist_seq, neg_num=5",
            ours=lambda table: table.add_neg_hist_seq(ITEMS, column, 5),
            theirs=lambda frame: sequences.add_neg_hist_seq(frame, ITEMS, 5),
            original=13.57,
            check=check.negative_lists,
            target=8,
            **shared,
        )
    ]


def _negatives() -> list[Case]:
    return [
        Case(
            name=f"add_negative_samples, neg_num={count}",
            data="hist",
            columns=["user", "item", "time"],
            ours=lambda table, count=count: table.add_negative_samples(ITEMS, neg_num=count),
            theirs=lambda frame, count=count: sequences.add_negative_samples(frame, ITEMS, count),
            original=original,
            scan="clicks",
            check=check.negative_samples,
            target=4,
        )
        for count, original in ((1, 1.55), (4, 2.62))
    ]


def _rows() -> list[Case]:
    return [
        Case(
            name="drop_duplicates id",
            columns=["tweet_id"],
            ours=lambda table: table.drop_duplicates("tweet_id"),
            theirs=lambda frame: frame.dropDuplicates(["tweet_id"]),
            original=1.20,
            tuned=True,
            scan="id",
        ),
        Case(
            name="group_by str200k, mean and count",
            columns=["str200k", "cnt1"],
            ours=lambda table: table.group_by("str200k", agg={"cnt1": "mean", "*": "count"}),
            theirs=lambda frame: frame.groupBy("str200k").agg({"cnt1": "mean", "*": "count"}),
            original=1.49,
            tuned=True,
            scan="id",
            check=check.groups,
        ),
    ]


CASES = [
    *_hashes(),
    *_numbers(),
    *_indices(),
    *_encodings(),
    *_targets(),
    *_histories(),
    *_lists(),
    *_negatives(),
    *_rows(),
]
