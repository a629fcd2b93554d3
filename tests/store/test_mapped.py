"""The mapped row store: look-ups, both kinds of ids, and what is refused."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friesian_fast.errors import InvalidInputError, NotFoundError, SchemaMismatchError
from friesian_fast.spec import Column, RowSet
from friesian_fast.store import MappedRowStore, RowCodec

TAG = b"the tag."
NUMBERS = RowSet(
    name="item",
    id_column="item_id",
    id_type="int64",
    columns=(Column(name="x", type="int32"), Column(name="l", type="float64", kind="list", length=4)),
)
STRINGS = dataclasses.replace(NUMBERS, id_type="string")


def columns_of(n):
    """x counts from 0; l is two elements."""
    return {"x": np.arange(n, dtype=np.int32), "l": np.arange(2.0 * n).reshape(n, 2)}


def write(path, ids, row_set):
    MappedRowStore.write(path, row_set, TAG, ids, columns_of(len(ids)))
    return MappedRowStore.open(path, row_set, TAG)


def edge_ids(row_set, n):
    if row_set.id_type == "int64":
        return np.array([0, -1, 2**63 - 1, -(2**63), *range(1, n)][:n], np.int64)
    return ["", "a", "é", "x" * 1000, "nul\0inside", *(f"id {i}" for i in range(n))][:n]


@pytest.mark.parametrize("row_set", [NUMBERS, STRINGS], ids=["int64", "string"])
@pytest.mark.parametrize("n", [0, 1, 5, 127, 128, 129, 1000])
def test_decode_and_get(tmp_path, row_set, n):
    """Around the block of 512 look-ups, four for each row; in reverse, twice over, with unknown ids between."""
    ids = edge_ids(row_set, n)
    store = write(tmp_path / "a.rows", ids, row_set)
    unknown = -77 if row_set.id_type == "int64" else "unknown"
    wanted = [value for i in [*range(n), *range(n)][::-1] for value in (ids[i], unknown)]
    asked = np.array(wanted, np.int64) if row_set.id_type == "int64" else wanted
    rows = store.decode(asked)
    assert len(store) == n
    assert list(store.ids()) == list(ids)
    assert rows.found.tolist() == [True, False] * (2 * n)
    assert rows.columns["x"][::2].tolist() == ([*range(n)] * 2)[::-1]
    assert not rows.columns["x"][1::2].any()
    assert rows.columns["l"].shape == (4 * n, 4)
    packed = list(RowCodec(row_set, TAG).encode(columns_of(n)))
    assert store.get(ids) == packed
    assert store.get(asked)[1::2] == [None] * (2 * n)


@settings(max_examples=50, deadline=None)
@given(known=st.sets(st.integers(-(2**63), 2**63 - 1), max_size=40), other=st.integers(-(2**63), 2**63 - 1))
def test_int64_like_a_dict(tmp_path_factory, known, other):
    ids = np.array(sorted(known), np.int64)
    store = write(tmp_path_factory.mktemp("rows") / "a.rows", ids, NUMBERS)
    assert store.decode(ids).columns["x"].tolist() == list(range(len(ids)))
    assert store.decode([other]).found.tolist() == [other in known]


@settings(max_examples=50, deadline=None)
@given(known=st.sets(st.text(st.characters(exclude_categories=["Cs"])), max_size=40), other=st.text("ab", max_size=2))
def test_strings_like_a_dict(tmp_path_factory, known, other):
    ids = sorted(known)
    store = write(tmp_path_factory.mktemp("rows") / "a.rows", ids, STRINGS)
    assert store.decode(ids).columns["x"].tolist() == list(range(len(ids)))
    assert store.decode([other]).found.tolist() == [other in known]


@pytest.mark.parametrize(
    ("row_set", "ids", "message"),
    [
        (NUMBERS, np.array([5, 7, 5]), "id 5 is there twice .again at row 2"),
        (STRINGS, ["a", "b", "b"], "id 'b' is there twice .again at row 2"),
        (NUMBERS, np.array([5, 7]), "has 2 ids, but 3 rows"),
        (NUMBERS, np.array([0.5, 1, 2]), "are int64, but these are float64"),
        (NUMBERS, np.array([1, 2, 3], np.uint64), "are int64, but these are uint64"),
        (STRINGS, ["a", 1, "b"], "are strings, but id 1 is 1"),
    ],
)
def test_write_rejects_and_leaves_the_old_file(tmp_path, row_set, ids, message):
    path = tmp_path / "a.rows"
    path.write_bytes(b"what was there")
    with pytest.raises(InvalidInputError, match=message):
        MappedRowStore.write(path, row_set, TAG, ids, columns_of(3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.rows"]
    assert path.read_bytes() == b"what was there"


def test_open_rejects(tmp_path):
    path = tmp_path / "a.rows"
    write(path, np.array([1]), NUMBERS)
    with pytest.raises(NotFoundError, match="no row store at .*b.rows"):
        MappedRowStore.open(tmp_path / "b.rows", NUMBERS, TAG)
    with pytest.raises(SchemaMismatchError, match="a.rows: its row tag is another"):
        MappedRowStore.open(path, NUMBERS, b"another.")
    with pytest.raises(InvalidInputError, match="a.rows: its ids are int64, not strings"):
        MappedRowStore.open(path, STRINGS, TAG)


def test_ids_that_are_asked_for_are_checked(tmp_path):
    store = write(tmp_path / "a.rows", np.array([1]), NUMBERS)
    assert store.decode([]).found.shape == (0,)
    assert store.decode(np.array([1], np.int32)).found.tolist() == [True]
    with pytest.raises(InvalidInputError, match="ids of row set 'item' are int64"):
        store.decode(["1"])
    with pytest.raises(InvalidInputError, match="ids of row set 'item' are int64"):
        store.get(np.array([[1]]))


def test_half_a_surrogate_pair_is_no_id(tmp_path):
    store = write(tmp_path / "s.rows", ["a"], STRINGS)
    with pytest.raises(InvalidInputError, match=r"id '\\ud800' holds half of a surrogate pair"):
        store.decode(["\ud800"])


def test_closed_store_says_so(tmp_path):
    store = write(tmp_path / "a.rows", np.array([1]), NUMBERS)
    store.close()
    store.close()
    with pytest.raises(InvalidInputError, match="the row store of 'item' is closed"):
        store.decode([1])


def test_threads_share_a_store_that_is_replaced(tmp_path):
    """The mapping is of the old file: writing a new one under the name does not disturb readers."""
    path = tmp_path / "a.rows"
    ids = np.arange(500)
    store = write(path, ids, NUMBERS)
    wrong = []

    def read():
        for _ in range(50):
            if store.decode(ids).columns["x"].tolist() != ids.tolist():
                wrong.append(True)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        write(path, np.arange(3), NUMBERS)
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(MappedRowStore.open(path, NUMBERS, TAG)) == 3
