"""A ranker's inputs: what the decoded rows and NumPy's repeat give, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError, SchemaMismatchError
from friesian_fast.recommend.inputs import InputBuilder
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet
from friesian_fast.store import MappedRowStore, RowBatch, RowCodec

USER = RowSet(
    name="user",
    id_column="u",
    id_type="int64",
    columns=(
        Column(name="age", type="int32"),
        Column(name="taste", type="float32", kind="fixed", length=3),
        Column(name="seen", type="int64", kind="list", length=2),
        Column(name="unused", type="float64"),
    ),
)
ITEM = RowSet(
    name="item",
    id_column="i",
    id_type="int64",
    columns=(
        Column(name="unused", type="int64", kind="list", length=3),
        Column(name="price", type="float64"),
        Column(name="tags", type="int32", kind="list", length=4),
        Column(name="genre", type="int32"),
    ),
)
INPUTS = [
    ("tags", "item", "tags"),
    ("age", "user", "age"),
    ("age_again", "user", "age"),
    ("taste", "user", "taste"),
    ("seen", "user", "seen"),
    ("price", "item", "price"),
    ("genre", "item", "genre"),
]
SPEC = FeatureSpec(
    name="s",
    row_sets=(USER, ITEM),
    model_inputs=tuple(ModelInput(name=name, row_set=rows, column=column) for name, rows, column in INPUTS),
)


def rows_of(row_set, n):
    """Packed rows of random values and their codec."""
    rng = np.random.default_rng(n)
    columns = {}
    for column in row_set.columns:
        shape = n if column.kind == "scalar" else (n, column.length)
        columns[column.name] = rng.integers(1, 100, shape).astype(column.type)
    codec = RowCodec(row_set, SPEC.row_tag(row_set.name))
    return codec, list(codec.encode(columns))


def expected(user, items):
    """Decode, leave the missing out, repeat."""
    mine = RowCodec(USER, SPEC.row_tag("user")).decode([user]).columns
    rows = RowCodec(ITEM, SPEC.row_tag("item")).decode([item for item in items if item]).columns
    n = len(rows["price"])
    return {name: np.repeat(mine[c], n, axis=0) if r == "user" else rows[c] for name, r, c in INPUTS}


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 64, 300, 1025])
@pytest.mark.parametrize("missing", ["none", "some", "all"])
def test_inputs_are_the_decoded_rows(n, missing):
    """Around the blocks of 32 rows and the number above which the GIL is released."""
    _, (user,) = rows_of(USER, 1)
    _, items = rows_of(ITEM, n)
    gone = {"none": [], "some": range(0, n, 3), "all": range(n)}[missing]
    for i in gone:
        items[i] = None if i % 2 else b""
    batch = RowBatch(items)
    got = InputBuilder(SPEC).build(RowBatch([user]), batch)
    wanted = expected(user, items)
    assert (len(batch), batch.count, batch.found.tolist()) == (n, n - len(gone), [bool(row) for row in items])
    assert sorted(got) == sorted(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(got[name], values)
        assert got[name].dtype == values.dtype
        assert got[name].flags.c_contiguous


@pytest.mark.parametrize("huge_pages", [False, True])
def test_rows_of_a_mapped_store(tmp_path, huge_pages):
    """A batch keeps the file that its rows stand in."""
    codec, packed = rows_of(ITEM, 50)
    columns = codec.decode(packed).columns
    path = tmp_path / "item.rows"
    MappedRowStore.write(path, ITEM, codec.tag, np.arange(50), columns)
    store = MappedRowStore.open(path, ITEM, codec.tag, huge_pages=huge_pages)
    if huge_pages:  # the copy does not care
        path.write_bytes(b"")
    batch = store.find([7, 70, 9])
    store.close()
    del store
    _, (user,) = rows_of(USER, 1)
    got = InputBuilder(SPEC).build(RowBatch([user]), batch)
    assert batch.found.tolist() == [True, False, True]
    np.testing.assert_array_equal(got["price"], columns["price"][[7, 9]])


def test_what_is_known_of_an_item_without_a_row_is_left_out():
    known = RowSet(
        name="candidate",
        id_column="u",
        id_type="int64",
        columns=(Column(name="affinity", type="float32", kind="list", length=9),),
    )
    fed = ModelInput(name="affinity", row_set="candidate", column="affinity")
    spec = dataclasses.replace(SPEC, row_sets=(USER, ITEM, known), model_inputs=(*SPEC.model_inputs, fed))
    packed = {}
    for row_set, n in ((USER, 1), (ITEM, 4)):
        codec, _ = rows_of(row_set, n)
        columns = codec.decode(rows_of(row_set, n)[1]).columns
        packed[row_set.name] = list(RowCodec(row_set, spec.row_tag(row_set.name)).encode(columns))
    packed["item"][1] = None
    affinity = np.array([0.5, 1.5, 2.5, 3.5], np.float32)
    got = InputBuilder(spec).build(RowBatch(packed["user"]), RowBatch(packed["item"]), {"affinity": affinity})
    np.testing.assert_array_equal(got["affinity"], affinity[[0, 2, 3]])
    assert len(got["price"]) == 3
    with pytest.raises(SchemaMismatchError, match="recall gives no column 'affinity'"):
        InputBuilder(spec).build(RowBatch(packed["user"]), RowBatch(packed["item"]))


def test_a_bad_row_is_named_by_its_place_and_id():
    _, (user,) = rows_of(USER, 1)
    _, items = rows_of(ITEM, 4)
    build = InputBuilder(SPEC).build
    cut = [None, items[1], items[2][:-8], items[3]]
    with pytest.raises(InvalidInputError, match=r"row 2 \(id 13\): its header says"):
        build(RowBatch([user]), RowBatch(cut, [11, 12, 13, 14]))
    with pytest.raises(SchemaMismatchError, match=r"row 0 \(id 5\): its tag is .* another feature spec"):
        build(RowBatch([b"another!" + user[8:]], [5]), RowBatch(items))
    for users in ([], [None], [user, user]):
        with pytest.raises(InvalidInputError, match="need the row of one user"):
            build(RowBatch(users), RowBatch(items))
    with pytest.raises(TypeError, match="row 1 must be bytes or None, got str"):
        RowBatch([user, "text"])


def test_inputs_of_another_row_set_are_refused():
    vector = RowSet(name="user_vector", id_column="u", id_type="int64", columns=USER.columns)
    spec = dataclasses.replace(
        SPEC,
        row_sets=(USER, ITEM, vector),
        model_inputs=(ModelInput(name="age", row_set="user_vector", column="age"),),
    )
    with pytest.raises(
        InvalidInputError, match="'age' is fed by row set 'user_vector'; user, item and candidate feed rankers"
    ):
        InputBuilder(spec)
