"""Finding, checking and splitting Parquet files; directories that appear whole or not at all."""

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from friesian_fast._files import replacing, replacing_directory
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.feature.scan import null_counts, open_files, read_split, splits
from friesian_fast.feature.write import write_batches


def write(path, rows=10, group=3, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": pa.array(range(rows)), **columns}), path, row_group_size=group)
    return str(path)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def rows_of(source, at_least):
    cut = splits(source.files, at_least)
    return cut, [value for split in cut for batch in read_split(split, ["a"]) for value in batch.column(0).to_pylist()]


def test_directories_files_and_patterns(tmp_path):
    write(tmp_path / "d" / "part-1.parquet")
    write(tmp_path / "d" / "part-0.parquet", rows=4)
    write(tmp_path / "d" / "_temporary" / "x.parquet")
    write(tmp_path / "d" / ".hidden.parquet")
    (tmp_path / "d" / "_SUCCESS").touch()
    (tmp_path / "d" / "notes.txt").touch()
    source = open_files(tmp_path / "d")
    assert [path.rsplit("/", 1)[1] for path in source.files] == ["part-0.parquet", "part-1.parquet"]
    assert source.rows == 14
    assert open_files(str(tmp_path / "d" / "part-*.parquet")).files == source.files
    assert open_files(f"file://{tmp_path}/d").files == source.files
    assert open_files([tmp_path / "d" / "part-1.parquet", tmp_path / "d"]).rows == 24


@pytest.mark.parametrize("at_least", [1, 2, 3, 100])
def test_splits_cover_every_row_in_order(tmp_path, at_least):
    source = open_files([write(tmp_path / f"{name}.parquet", rows) for name, rows in (("x", 10), ("y", 1), ("z", 7))])
    cut, values = rows_of(source, at_least)
    assert values == [*range(10), *range(1), *range(7)]
    assert 1 <= len(cut) <= max(at_least, 1)


def test_files_without_rows(tmp_path):
    source = open_files(write(tmp_path / "x.parquet", rows=0))
    assert source.rows == 0
    assert rows_of(source, 2)[1] == []


def test_dictionaries_are_decoded(tmp_path):
    path = write(tmp_path / "x.parquet", rows=3, d=pa.array(["x", None, "x"]).dictionary_encode())
    source = open_files(path)
    assert source.schema.field("d").type == pa.string()
    batch = next(read_split(splits(source.files, 1)[0], ["d", "a"]))
    assert batch.to_pydict() == {"d": ["x", None, "x"], "a": [0, 1, 2]}


def test_null_counts(tmp_path):
    paths = [write(tmp_path / f"{n}.parquet", rows=2, d=pa.array([None, "x"]), e=pa.nulls(2, pa.int32())) for n in "xy"]
    assert null_counts(open_files(paths)) == {"a": 0, "d": 2, "e": 4}


def test_bad_paths_and_files_are_named(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        open_files(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match=r"x\*\.parquet"):
        open_files(str(tmp_path / "x*.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="empty has no Parquet files"):
        open_files(tmp_path / "empty")
    with pytest.raises(InvalidInputError, match="no path"):
        open_files([])
    with pytest.raises(InvalidInputError, match=r"s3://bucket/x is not on a file system"):
        open_files("s3://bucket/x")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(InvalidInputError, match=r"bad\.parquet cannot be read as Parquet"):
        open_files(tmp_path / "bad.parquet")


def test_a_file_damaged_inside_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [f"{i}" * 9 for i in range(1000)]}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)
    path.write_bytes(content)
    source = open_files(path)
    with pytest.raises(InvalidInputError, match=r"x\.parquet cannot be read"):
        list(read_split(splits(source.files, 1)[0], ["a"]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"b": pa.array([1.5])}, r"column 'b' has type double, but int64 in"),
        ({}, "it has no column 'b', unlike"),
        ({"b": pa.array([1]), "c": pa.array([1])}, "its columns are a, b, c, not those of"),
    ],
)
def test_files_of_two_schemas_are_named(tmp_path, columns, message):
    first = write(tmp_path / "x.parquet", rows=1, b=pa.array([1]))
    other = write(tmp_path / "y.parquet", rows=1, **columns)
    with pytest.raises(InvalidInputError, match=rf"y\.parquet: {message}"):
        open_files([first, other])


def test_batches_are_written_in_bounded_groups(tmp_path):
    batches = [pa.record_batch({"a": pa.array(range(50_000))})] * 6
    path = tmp_path / "x.parquet"
    assert write_batches(batches, None, path) == 300_000
    file = pq.ParquetFile(path)
    assert file.metadata.num_row_groups == 2
    assert file.read().column(0).to_pylist() == list(range(50_000)) * 6
    assert names(tmp_path) == ["x.parquet"]


def test_integers_in_lists_are_written_without_dictionaries(spark, tmp_path):
    rows = {
        "history": [[1, 2, 50_000], [], None, [-7, None]],
        "negatives": [[[3, 4], []], [], None, [[2**31 - 1]]],
        "long": [[2**62], [-(2**62), 0], [1], []],
        "texts": [["a", "a"], [], None, ["b"]],
        "pairs": [[("k", 1)], [], [("k", 2)], []],
        "inner": [{"x": 1, "y": [1, 2]}, None, {"x": 2, "y": []}, {"x": 3, "y": None}],
        "id": [1, 2, 3, 4],
    }
    types = {
        "history": pa.list_(pa.int32()),
        "negatives": pa.list_(pa.list_(pa.int32())),
        "long": pa.list_(pa.int64()),
        "texts": pa.list_(pa.string()),
        "pairs": pa.map_(pa.string(), pa.int32()),
        "inner": pa.struct({"x": pa.int32(), "y": pa.list_(pa.int32())}),
        "id": pa.int32(),
    }
    batch = pa.record_batch({name: pa.array(values, types[name]) for name, values in rows.items()})
    path = tmp_path / "part.parquet"
    write_batches([batch], None, path)
    group = pq.ParquetFile(path).metadata.row_group(0)
    found = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    packed = {name for name, encodings in found.items() if "DELTA_BINARY_PACKED" in encodings}
    lists = {"history.list.element", "negatives.list.element.list.element", "long.list.element"}
    assert packed == lists | {"inner.y.list.element"}
    assert all("RLE_DICTIONARY" in encodings for name, encodings in found.items() if name not in packed)
    assert pq.read_table(path).to_pylist() == pa.Table.from_batches([batch]).to_pylist()
    read = spark.read.parquet(str(path)).sort("id").collect()
    assert [row["history"] for row in read] == rows["history"]
    assert [row["negatives"] for row in read] == rows["negatives"]
    assert [row["long"] for row in read] == rows["long"]


def test_a_failing_writer_leaves_nothing(tmp_path):
    def batches():
        yield pa.record_batch({"a": [1]})
        raise InvalidInputError("no more")

    with pytest.raises(InvalidInputError, match="no more"):
        write_batches(batches(), None, tmp_path / "x.parquet")
    assert names(tmp_path) == []


def test_a_directory_is_replaced_whole(tmp_path):
    target = tmp_path / "out"
    for number in (1, 2):
        with replacing_directory(target) as building:
            (building / f"file{number}").touch()
            assert building.parent == tmp_path
            assert building.name.startswith(".")
    assert names(tmp_path) == ["out"]
    assert names(target) == ["file2"]


def test_a_failure_keeps_the_old_directory(tmp_path):
    target = tmp_path / "out"
    with replacing_directory(target) as building:
        (building / "old").touch()
    with pytest.raises(FileNotFoundError), replacing_directory(target) as building:
        (building / "new" / "er").touch()
    assert names(tmp_path) == ["out"]
    assert names(target) == ["old"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead = done.stdout.strip()
    mine = (f".partial-{dead}-out", f".old-{dead}-out", f".partial-{os.getpid()}-out")
    others = (".partial-1-out", ".partial-x-out", f".old-{dead}-out2", f".partial-{dead}-out.json")
    for name in mine + others:
        (tmp_path / name).mkdir()
    with replacing_directory(tmp_path / "out"):
        pass
    assert names(tmp_path) == sorted([*others, "out"])


def test_a_file_is_replaced_and_a_killed_writers_part_removed(tmp_path):
    target = tmp_path / "more" / "out.keras"
    for text in ("old", "new"):
        with replacing(target) as partial:
            partial.write_text(text)
            assert partial.suffix == ".keras"
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (target.parent / f".partial-{done.stdout.strip()}-out.keras").touch()
    with pytest.raises(TypeError), replacing(target) as partial:
        partial.write_text("half") and partial.write_text(None)
    assert names(target.parent) == ["out.keras"]
    assert target.read_text() == "new"


def test_a_directory_that_cannot_be_moved_in_keeps_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "out"
    (target / "old").mkdir(parents=True)
    rename = type(target).rename

    def failing(self, to):
        if self.name.startswith(".partial-"):
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(type(target), "rename", failing)
    with pytest.raises(OSError, match="No space"), replacing_directory(target):
        pass
    assert names(tmp_path) == ["out"]
    assert names(target) == ["old"]


def test_a_file_is_not_replaced_by_a_directory(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InvalidInputError, match="out is a file"), replacing_directory(tmp_path / "out"):
        pass
