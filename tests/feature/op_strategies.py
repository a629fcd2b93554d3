"""For each operation that can be recorded, hypothesis strategies of it and of columns it runs on.

A case is ``(columns, ops)``: pyarrow arrays by name, all of `rows` values, and operations on them. Every name begins
with a prefix, so that the cases of all operations fit in one table.
"""

import math

import pyarrow as pa
from hypothesis import strategies as st

from friesian_fast.feature.ops import (
    AddValue,
    Cast,
    Clip,
    Constant,
    CrossHash,
    CutBins,
    Drop,
    EncodeFixed,
    EncodeTarget,
    EncodeVocabulary,
    FillNull,
    Function,
    HashBucket,
    Log,
    LookUp,
    Mask,
    MergeColumns,
    MinMaxScale,
    MinMaxScaleList,
    NegativeHistory,
    OneHot,
    Pad,
    Rename,
    RowFold,
    Select,
    name_of,
)

TEXTS = (
    st.none()
    | st.sampled_from(["a", "b", "", "ünï", "a\tb", "b\tx\ta", "7", "-1.5", "true", " 3 "])
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
)
FLOATS = st.none() | st.floats(width=64) | st.sampled_from([0.0, -0.0, math.nan, 1.0, 2.0])
INTS = st.none() | st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 1, 2, -1])
VALUES = {
    pa.string(): TEXTS,
    pa.float64(): FLOATS,
    pa.float32(): st.none() | st.floats(width=32),
    pa.int32(): INTS,
    pa.int64(): st.none() | st.integers(-(2**63), 2**63 - 1),
    pa.int16(): st.none() | st.integers(-(2**15), 2**15 - 1),
    pa.bool_(): st.none() | st.booleans(),
}
NUMBERS = (pa.float64(), pa.float32(), pa.int32(), pa.int64(), pa.int16())
BOUNDS = st.floats(-1e6, 1e6)


def lengths(texts):
    """For `Function`: the number of characters."""
    import pyarrow.compute as pc

    return pc.utf8_length(texts)


def column(draw, rows, kind):
    return pa.array(draw(st.lists(VALUES[kind], min_size=rows, max_size=rows)), kind)


def lists(draw, rows, kind, values, **sizes):
    inner = st.none() | st.lists(values, **{"max_size": 4, **sizes})
    return pa.array(draw(st.lists(inner, min_size=rows, max_size=rows)), pa.list_(kind))


def ids(draw, rows, low=0, high=9):
    return pa.array(draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows)), pa.int32())


def any_column(draw, rows, kinds=tuple(VALUES)):
    return column(draw, rows, draw(st.sampled_from(kinds)))


def one(make, kinds=tuple(VALUES)):
    """Of an operation on one column: `make(draw, name, kind)`."""

    def case(draw, rows, prefix, files):
        name = f"{prefix}a"
        array = any_column(draw, rows, kinds)
        return {name: array}, [make(draw, name, array.type)]

    return case


def _fill(draw, name, kind):
    if pa.types.is_string(kind):
        return FillNull(name, draw(st.text(max_size=3)))
    return FillNull(name, draw(st.booleans() if pa.types.is_boolean(kind) else st.integers(-100, 100)))


def _clip(draw, name, kind):
    low, high = sorted(draw(st.tuples(st.integers(-9999, 9999), st.integers(-9999, 9999))))
    return Clip(name, draw(st.sampled_from([None, low])), high)


def _bins(draw, name, kind):
    edges = sorted(set(draw(st.lists(BOUNDS, min_size=1, max_size=4))))
    return CutBins(name, f"{name}_bin", tuple(edges), drop=draw(st.booleans()))


def _scale(draw, name, kind):
    return MinMaxScale(
        name, *sorted(draw(st.tuples(BOUNDS, BOUNDS))), *draw(st.sampled_from([(0.0, 1.0), (-2.0, 3.0)]))
    )


def _fixed(draw, name, kind):
    return EncodeFixed(name, (("a", 3), ("", 0), ("7", 9), ("true", 1)), False)


def _vocabulary(draw, rows, prefix, files):
    name = f"{prefix}a"
    separator = draw(st.sampled_from([None, "\t"]))
    keep = draw(st.sampled_from(["min", "all", "sorted"]))
    return {name: column(draw, rows, pa.string())}, [EncodeVocabulary(name, "words", files["words"], separator, keep)]


def _cross(draw, rows, prefix, files):
    columns = {f"{prefix}{i}": any_column(draw, rows) for i in range(draw(st.integers(2, 3)))}
    separator = draw(st.sampled_from(["", "_"]))
    method = draw(st.sampled_from(["md5", "sha1", "xxh3"]))
    return columns, [CrossHash(tuple(columns), f"{prefix}x", draw(st.integers(1, 10**6)), method, separator)]


def _merge(draw, rows, prefix, files):
    kinds = draw(st.sampled_from([(pa.int32(), pa.float64()), (pa.string(), pa.int64()), (pa.int16(), pa.int64())]))
    columns = {f"{prefix}{i}": column(draw, rows, kind) for i, kind in enumerate(kinds)}
    return columns, [MergeColumns(tuple(columns), f"{prefix}m")]


def _rename(draw, name, kind):
    return Rename(name, f"{name}_new")


def _constant(draw, name, kind):
    value, text = draw(st.sampled_from([(1.5, "float64"), (None, "string"), (7, "int32"), (True, "bool")]))
    return Constant(f"{name}_k", value, text)


def _target(draw, rows, prefix, files):
    name, fold = f"{prefix}a", f"{prefix}f"
    columns = {name: column(draw, rows, pa.string())}
    if draw(st.booleans()):
        return columns, [EncodeTarget((name,), (f"{prefix}te",), (0.25,), *files["mean"])]
    columns[fold] = ids(draw, rows, 0, 3)
    return columns, [EncodeTarget((name,), (f"{prefix}te",), (0.25,), *files["means"], fold, (0, 1))]


def _one_hot(draw, rows, prefix, files):
    name = f"{prefix}a"
    return {name: ids(draw, rows)}, [OneHot(name, f"{prefix}h", 10, draw(st.booleans()))]


def _look_up(draw, rows, prefix, files):
    name = f"{prefix}a"
    values = lists(draw, rows, pa.int32(), st.integers(0, 9)) if draw(st.booleans()) else column(draw, rows, pa.int64())
    return {name: values}, [LookUp(name, draw(st.sampled_from([name, f"{prefix}v"])), *files["pairs"])]


def _scale_list(draw, rows, prefix, files):
    name = f"{prefix}a"
    values = lists(draw, rows, pa.float64(), st.none() | BOUNDS, min_size=2, max_size=2)
    bounds = ((0.0, -1.0), (2.0, draw(st.sampled_from([-1.0, 7.5]))))
    kind = draw(st.sampled_from(["float32", "float64"]))
    return {name: values}, [MinMaxScaleList(name, *bounds, type=kind, last=draw(st.booleans()))]


def _mask(draw, rows, prefix, files):
    name = f"{prefix}a"
    return {name: lists(draw, rows, pa.int64(), st.none() | st.integers(0, 9))}, [Mask(name, draw(st.integers(1, 5)))]


def _pad(draw, rows, prefix, files):
    name = f"{prefix}a"
    kind, values = draw(st.sampled_from([(pa.int32(), INTS), (pa.float64(), FLOATS), (pa.string(), TEXTS)]))
    return {name: lists(draw, rows, kind, values)}, [Pad(name, draw(st.integers(1, 5)), draw(st.sampled_from([0, -1])))]


def _negative_history(draw, rows, prefix, files):
    name, key = f"{prefix}a", f"{prefix}k"
    columns = {name: lists(draw, rows, pa.int32(), st.integers(1, 9)), key: column(draw, rows, pa.int64())}
    return columns, [NegativeHistory(name, (name, key), 50, 2, draw(st.integers(0, 9)), draw(st.booleans()))]


def _row_fold(draw, rows, prefix, files):
    columns = {f"{prefix}{i}": any_column(draw, rows) for i in range(2)}
    return columns, [RowFold(tuple(columns), f"{prefix}f", draw(st.integers(1, 9)), draw(st.integers(0, 9)))]


CASES = {
    AddValue.name: one(
        lambda draw, name, kind: AddValue(name, draw(st.sampled_from([1, -3, 0.5]))), (pa.int16(), pa.float64())
    ),
    Cast.name: one(
        lambda draw, name, kind: Cast(name, draw(st.sampled_from(["string", "int32", "int64", "float32", "bool"])))
    ),
    Clip.name: one(_clip, NUMBERS),
    Constant.name: one(_constant),
    CrossHash.name: _cross,
    CutBins.name: one(_bins, NUMBERS),
    EncodeFixed.name: one(_fixed),
    EncodeTarget.name: _target,
    EncodeVocabulary.name: _vocabulary,
    FillNull.name: one(_fill),
    Function.name: one(lambda draw, name, kind: Function((name,), f"{name}_n", name_of(lengths)), (pa.string(),)),
    HashBucket.name: one(
        lambda draw, name, kind: HashBucket(
            name, draw(st.integers(1, 10**6)), draw(st.sampled_from(["md5", "sha256", "xxh3"]))
        )
    ),
    Log.name: one(lambda draw, name, kind: Log(name, draw(st.booleans())), NUMBERS),
    LookUp.name: _look_up,
    Mask.name: _mask,
    MergeColumns.name: _merge,
    MinMaxScale.name: one(_scale, NUMBERS),
    MinMaxScaleList.name: _scale_list,
    NegativeHistory.name: _negative_history,
    OneHot.name: _one_hot,
    Pad.name: _pad,
    Rename.name: one(_rename),
    RowFold.name: _row_fold,
}

# Those that a spec has only at its end, or not at all.
SHAPES = {Select.name, Drop.name}


@st.composite
def cases(draw, name, files, prefix="", rows=None):
    """A case of the operation of that name."""
    rows = draw(st.integers(0, 9)) if rows is None else rows
    return CASES[name](draw, rows, prefix, files)


@st.composite
def all_cases(draw, files, rows):
    """One table of the cases of all operations."""
    columns, ops = {}, []
    for name in sorted(CASES):
        more, steps = CASES[name](draw, rows, f"{name}_", files)
        columns.update(more)
        ops += steps
    return columns, ops
