"""Whether what two sides wrote is right: the same bits where the original's definition leaves nothing to chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from friesian_fast.usecases.recsys2021.raw_features import token_count as _tab_count

_SMOOTH = 20.0


def token_count(texts: Any) -> Any:
    """How many tokens a text of links has."""
    return _tab_count(pc.replace_substring(texts, ",", "\t"))


def same(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """The same rows, in any order."""
    assert set(ours.column_names) == set(theirs.column_names)
    names = sorted(ours.column_names)
    assert _ordered(ours, names).equals(_ordered(theirs, names))


def close(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """Numbers that differ by no more than two libraries' logarithms do."""
    for name in raw.column_names:
        np.testing.assert_allclose(np.sort(ours[name].to_numpy()), np.sort(theirs[name].to_numpy()), rtol=1e-14)


def medians(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """Values whose rank is wrong by at most 0.1 %."""
    for row in ours.to_pylist():
        values = raw[row["column"]].to_numpy()
        assert abs((values < row["median"]).mean() - 0.5) <= 0.001 + (values == row["median"]).mean()
    assert set(ours["column"].to_pylist()) == set(theirs["column"].to_pylist())


def index(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """The same categories with dense ids; ours by falling count, then by value."""
    name = next(one for one in ours.column_names if one != "id")
    for made in (ours, theirs):
        assert np.array_equal(np.sort(made["id"].to_numpy()), np.arange(1, ours.num_rows + 1))
    assert ours[name].combine_chunks().sort().equals(theirs[name].combine_chunks().sort())
    tokens = pc.list_flatten(pc.split_pattern(raw[name], ",")) if name == "present_links" else raw[name]
    counts = pa.table({name: tokens}).group_by(name).aggregate([([], "count_all")])
    order = counts.sort_by([("count_all", "descending"), (name, "ascending")])
    assert ours.sort_by("id")[name].combine_chunks().equals(order[name].combine_chunks())


def encoded(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """As many rows of the most frequent category, of the next, and so on; as many nulls."""
    name = ours.column_names[0]
    assert ours[name].null_count == theirs[name].null_count
    sizes = [np.sort(np.unique(made[name].drop_null().to_numpy(), return_counts=True)[1]) for made in (ours, theirs)]
    assert np.array_equal(*sizes)
    assert ours[name].type == theirs[name].type == pa.int32()


def target_codes(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """Which fold a row is in is each side's own choice; what all folds of a category make is not.

    A row's code leaves out its own fold, so that the mean of a category's codes lies near the code of all its rows.
    """
    for name in (one for one in ours.column_names if "_te_" in one):
        assert set(ours.column_names) == set(theirs.column_names)
        cat = name.removesuffix("_te_label")
        mean = pc.mean(raw["label"]).as_py()
        found = ours.group_by(cat).aggregate([(name, "mean"), ("label", "sum"), ("label", "count")])
        total, count = found["label_sum"].to_numpy(), found["label_count"].to_numpy()
        expected = (total + mean * _SMOOTH) / (count + _SMOOTH)
        assert np.abs(found[f"{name}_mean"].to_numpy() - expected).max() < 0.15
        assert ours[name].null_count == theirs[name].null_count == 0
        assert abs(pc.mean(ours[name]).as_py() - pc.mean(theirs[name]).as_py()) < 5e-3


def histories(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """The same lists for the same user and time."""
    _same_lists(ours, theirs, ours.column_names)


def negative_lists(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """As many lists; no negative is the element it stands for, or out of range."""
    plain = [name for name in ours.column_names if name != "neg_item_hist_seq"]
    _same_lists(ours, theirs, plain)
    for made in (ours, theirs):
        negatives = made["neg_item_hist_seq"].combine_chunks()
        drawn = pc.list_flatten(negatives)
        assert set(pc.unique(pc.list_value_length(drawn)).to_pylist()) == {5}
        values = pc.list_flatten(drawn).to_numpy()
        assert values.min() >= 1
        assert values.max() < 50_000
    clicks = ours["item_hist_seq"].combine_chunks()
    sizes = np.minimum(pc.list_value_length(clicks).to_numpy(), pc.list_value_length(negatives).to_numpy())
    first = ours.slice(0, 1000).to_pylist()
    for row, size in zip(first, sizes, strict=False):
        pairs = zip(row["item_hist_seq"][:size], row["neg_item_hist_seq"], strict=False)
        assert all(item not in drawn for item, drawn in pairs)


def negative_samples(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """The positives are the rows; the negatives are as many, and none is its row's item."""
    assert ours.num_rows == theirs.num_rows
    for made in (ours, theirs):
        positive = made.filter(pc.equal(made["label"], 1)).select(raw.column_names)
        assert _ordered(positive, raw.column_names).equals(_ordered(raw, raw.column_names))
        own = raw.select(["user", "time"]).append_column("own", raw["item"])
        joined = made.filter(pc.equal(made["label"], 0)).join(own, ["user", "time"])
        assert pc.sum(pc.equal(joined["own"], joined["item"])).as_py() == 0
        assert joined["own"].null_count == 0


def groups(ours: pa.Table, theirs: pa.Table, raw: pa.Table) -> None:
    """The same counts; means up to the order of summing."""
    ours, theirs = ours.sort_by("str200k"), theirs.sort_by("str200k")
    assert ours["str200k"].equals(theirs["str200k"])
    assert ours["count(1)"].equals(theirs["count(1)"])
    np.testing.assert_allclose(ours["avg(cnt1)"].to_numpy(), theirs["avg(cnt1)"].to_numpy())


def _same_lists(ours: pa.Table, theirs: pa.Table, names: list[str]) -> None:
    keys = [("user", "ascending"), ("time", "ascending")]
    assert set(ours.column_names) == set(theirs.column_names)
    assert _plain(ours.select(names).sort_by(keys)).equals(_plain(theirs.select(names).sort_by(keys)))


def _ordered(table: pa.Table, names: list[str]) -> pa.Table:
    return _plain(table.select(names).sort_by([(name, "ascending") for name in names]))


def _plain(table: pa.Table) -> pa.Table:
    """Without what only the writers differ in: nullability, and the name of a list's element."""
    arrays = [_unnamed(table[name].combine_chunks()) for name in table.column_names]
    return pa.table(arrays, names=table.column_names)


def _unnamed(array: Any) -> Any:
    if not pa.types.is_list(array.type):
        return array
    lengths = pc.list_value_length(array).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, _unnamed(array.flatten()))
