"""What workers read: the right numbers of the right types, the same batches for any number of workers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.models.inputs import Categorical
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet
from friesian_fast.train.columns import prefetched, read_stretch, take
from friesian_fast.train.fields import Wanted, resolve, wanted
from friesian_fast.train.input import Input
from friesian_fast.train.source import open_source

ROWS = 500


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    lists = [list(range(n)) for n in rng.integers(0, 4, ROWS)]
    columns = {
        "id": pa.array(np.arange(ROWS)),
        "x": pa.array(rng.random(ROWS)),
        "flag": pa.array(rng.random(ROWS) < 0.5),
        "history": pa.array(lists, pa.list_(pa.int64())),
        "pair": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2.0 * ROWS)), 2),
        "label": pa.array(rng.integers(0, 2, ROWS)),
    }
    return pa.table(columns)


@pytest.fixture
def path(table, tmp_path):
    for part in range(3):
        rows = table.slice(part * 200, 200)
        pq.write_table(rows, tmp_path / f"part-{part}.parquet", row_group_size=70)
    return tmp_path


def fields(source, *names, integers="int32"):
    return resolve(
        [n if isinstance(n, Wanted) else Wanted(n) for n in names], source.schema, integers=integers, where="t"
    )


def test_a_stretch_over_row_groups_and_files_has_its_rows(path, table):
    source = open_source(path, None, name="rows")
    assert source.rows == ROWS
    read = fields(source, "id", "x", "flag", "history", "pair")
    columns = read_stretch(source.pieces, 65, 415, read)
    batch = take(columns, read, np.array([0, 10, 349]))
    assert batch["id"].tolist() == [65, 75, 414]
    assert [batch[name].dtype for name in ("id", "x", "flag", "history")] == ["int32", "float32", "int32", "int32"]
    np.testing.assert_array_equal(batch["x"], table["x"].to_numpy()[[65, 75, 414]].astype("float32"))
    assert batch["pair"].tolist() == [[130, 131], [150, 151], [828, 829]]
    assert batch["flag"].tolist() == [int(table["flag"][row].as_py()) for row in (65, 75, 414)]
    for row, filled in zip((65, 75, 414), batch["history"], strict=True):
        given = table["history"][row].as_py()
        assert filled.tolist() == given + [0] * (batch["history"].shape[1] - len(given))


def test_lists_are_filled_up_and_masked():
    data = pa.table({"h": pa.array([[7, 8], [], [9]])})
    source = open_source(data, None, name="rows")
    read = fields(source, Wanted("h_mask"), Wanted("h", length=3))
    batch = take(read_stretch(source.pieces, 0, 3, read), read, np.array([0, 1, 2]))
    assert batch["h"].tolist() == [[7, 8, 0], [0, 0, 0], [9, 0, 0]]
    assert batch["h_mask"].tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
    only_mask = fields(source, Wanted("h_mask", length=2))
    batch = take(read_stretch(source.pieces, 1, 3, only_mask), only_mask, np.array([1]))
    assert batch["h_mask"].tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("column", "wanted_", "message"),
    [
        (pa.array([1.0, np.nan, 2.0]), Wanted("c"), r"column 'c' holds nan in row 1 of its row group 0 \(1 such"),
        (pa.array([1.0, None, 2.0]), Wanted("c"), "column 'c' has no value in row 1"),
        (pa.array([1, 5, -1]), Wanted("c", size=5), r"'c' holds id 5 in row 1 of its row group 0, outside \[0, 5\)"),
        (pa.array([1, -1, 2]), Wanted("c", size=5), r"'c' holds id -1 in row 1"),
        (pa.array([1, 2**40]), Wanted("c", dtype="int32"), "'c' does not fit int32"),
        (pa.array([0.5, 1.0]), Wanted("c", dtype="int32"), "'c' does not fit int32"),
        (pa.array([[1], [1, 2, 3]]), Wanted("c", length=2), "'c' has 3 elements in row 1 .* the model takes 2"),
        (pa.array([[1], [1, 9]]), Wanted("c", size=5), r"'c' holds id 9 in row 1"),
        (pa.array([[1.0], [np.inf]]), Wanted("c"), r"'c' holds inf in row 1"),
        (pa.array([[1], [None]]), Wanted("c"), "'c' holds lists with missing elements"),
    ],
)
def test_what_cannot_be_learned_from_is_named(column, wanted_, message):
    source = open_source(pa.table({"c": column}), None, name="rows")
    read = fields(source, wanted_)
    with pytest.raises(InvalidInputError, match=message):
        read_stretch(source.pieces, 0, source.rows, read)


@pytest.mark.parametrize(
    ("column", "wanted_", "message"),
    [
        (pa.array(["a"]), Wanted("c"), "column 'c' is of string; .* encode it first"),
        (pa.array([1]), Wanted("d"), "t has no column 'd'; it has c"),
        (pa.array([1]), Wanted("c_mask"), "t has no column 'c_mask'"),
        (
            pa.FixedSizeListArray.from_arrays(pa.array([1, 2]), 2),
            Wanted("c", length=3),
            "lists of 2, the model takes 3",
        ),
    ],
)
def test_columns_that_no_model_takes_are_named_before_anything_is_read(column, wanted_, message):
    with pytest.raises(InvalidInputError, match=message):
        fields(open_source(pa.table({"c": column}), None, name="rows"), wanted_)


def test_a_feature_named_twice_is_an_error():
    with pytest.raises(InvalidInputError, match="'c' is named twice"):
        fields(open_source(pa.table({"c": [1]}), None, name="rows"), "c", "c")


def test_features_of_a_caller_and_of_a_spec():
    assert wanted(["x", Categorical("u", 5)]) == [Wanted("x"), Wanted("u", size=5)]
    columns = (Column(name="c", type="int32", size=9), Column(name="h", type="int32", kind="list", length=4, size=3))
    inputs = (ModelInput(name="in", row_set="user", column="c"), ModelInput(name="h", row_set="user", column="h"))
    rows = RowSet(name="user", id_column="u", id_type="int64", columns=columns)
    spec = FeatureSpec(name="s", row_sets=(rows,), model_inputs=inputs)
    assert wanted(spec) == [Wanted("in", "int32", None, 9), Wanted("h", "int32", 4, 3)]


def batches(source, world, epoch, skip=0, **settings):
    """Each step's rows as one sorted list over all workers."""
    names = fields(source, "id")
    options = {"batch_size": 60, "buffer_rows": 200, "seed": 3, **settings}
    inputs = [
        Input(pieces=source.pieces, features=names, labels=[], rank=rank, world=world, **options)
        for rank in range(world)
    ]
    per_rank = [list(data.batches(epoch, skip)) for data in inputs]
    steps = []
    for step in zip(*per_rank, strict=True):
        assert sum(batch.factor for batch in step) == pytest.approx(1)
        steps.append(sorted(row for batch in step if batch.factor for row in batch.inputs["id"].tolist()))
    return steps


def test_batches_are_the_same_for_any_number_of_workers_and_repeat_with_the_seed(path):
    source = open_source(path, None, name="rows")
    alone = batches(source, 1, 0)
    assert sorted(row for step in alone for row in step) == list(range(ROWS))
    assert batches(source, 2, 0) == batches(source, 5, 0) == alone
    assert batches(source, 1, 1) != alone
    assert batches(source, 1, 0, seed=4) != alone
    assert max(map(len, alone)) <= 60


def test_an_epoch_can_be_entered_at_any_step(path):
    source = open_source(path, None, name="rows")
    whole = batches(source, 2, 1)
    for skip in (1, 5, len(whole) - 1, len(whole)):
        assert batches(source, 2, 1, skip) == whole[skip:]


def test_in_order_workers_share_the_rows_out(path):
    source = open_source(path, None, name="rows")
    found = []
    for rank in range(3):
        options = {"batch_size": 60, "buffer_rows": 100, "rank": rank, "world": 3}
        data = Input(pieces=source.pieces, features=fields(source, "id"), labels=[], **options)
        found += [row for batch in data.batches(None) for row in batch.inputs["id"].tolist()]
    assert sorted(found) == list(range(ROWS))


def test_fewer_rows_than_workers_name_the_rank():
    source = open_source(pa.table({"id": [1, 2]}), None, name="rows")
    with pytest.raises(InvalidInputError, match="rank 2 has no rows: there are 2 rows for 3 workers"):
        batches(source, 3, 0)


def test_prefetching_keeps_order_and_raises_what_it_met():
    def items():
        yield from range(20)
        raise ValueError("at the end")

    found = prefetched(items(), depth=2)
    assert [next(found) for _ in range(20)] == list(range(20))
    with pytest.raises(ValueError, match="at the end"):
        next(found)


def test_data_of_every_kind_is_opened(table, path):
    plain = table.select(["id", "x"])
    for data in (path, str(path), plain, plain.to_pandas(), plain.to_batches()[0]):
        source = open_source(data, None, name="rows")
        assert source.rows == ROWS
        assert source.ranges["id"] == (0, ROWS - 1)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ("nowhere", NotFoundError, "no table at .*nowhere"),
        (pa.table({"id": pa.array([], pa.int64())}), InvalidInputError, "rows has no rows"),
        ([1, 2], InvalidInputError, "rows is a list; give a FeatureTable"),
    ],
)
def test_data_that_is_none_is_named(data, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        open_source(tmp_path / data if isinstance(data, str) else data, None, name="rows")


def test_files_that_do_not_fit_together_are_named(tmp_path):
    with pytest.raises(InvalidInputError, match="holds no .parquet files"):
        open_source(tmp_path, None, name="rows")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"b": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InvalidInputError, match="b.parquet has other columns than .*a.parquet"):
        open_source(tmp_path, None, name="rows")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidInputError, match="b.parquet cannot be read as Parquet"):
        open_source(tmp_path, None, name="rows")
