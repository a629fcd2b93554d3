"""What a release holds, and what `publish` refuses without leaving anything behind."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest
import yaml
from tests.release.conftest import DIM, ITEMS, USERS, item_ids, unit_vectors, write, write_ranker
from typer.testing import CliRunner

from friesian_fast.cli.main import app
from friesian_fast.errors import ConfigError, FriesianError, InvalidInputError, NotFoundError
from friesian_fast.recall import IvfIndex
from friesian_fast.release.open import open_release
from friesian_fast.release.publish import publish, write_popular
from friesian_fast.store import MappedRowStore


def change_plan(outputs, **keys):
    plan = yaml.safe_load((outputs / "publish.yaml").read_text())
    plan.update(keys)
    (outputs / "publish.yaml").write_text(yaml.safe_dump(plan))


def test_a_release_holds_all_parts(outputs, tmp_path):
    path = publish(outputs / "publish.yaml", tmp_path / "releases")
    release = open_release(tmp_path / "releases")
    assert release.path == path
    assert release.id == path.name
    assert (tmp_path / "releases" / "CURRENT").read_text() == f"{path.name}\n"
    assert path.name[15:] == "-" + release.spec.fingerprint()[:8]
    assert sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()) == [
        f"index/item_{DIM}.idx",
        f"index/item_{DIM}.ivf",
        "manifest.json",
        "popular.json",
        "rank/ranker.onnx",
        "rows/item.rows",
        "rows/item_vector.rows",
        "rows/user.rows",
        "rows/user_vector.rows",
        "spec.json",
    ]
    manifest = release.manifest
    assert {name: entry.rows for name, entry in manifest.row_sets.items()} == {
        "user": USERS,
        "item": ITEMS,
        "user_vector": USERS,
        "item_vector": ITEMS,
    }
    assert (manifest.name, manifest.metrics, manifest.ranker.max_error) == ("tiny", {"auc": 0.75}, 1e-7)
    assert manifest.versions["tensorflow"] == "2.21.0"
    assert release.ranker_path.read_bytes() == (outputs / "ranker" / "ranker.onnx").read_bytes()


def test_rows_come_back_and_the_last_duplicate_counts(outputs, tmp_path):
    release = open_release(publish(outputs / "publish.yaml", tmp_path / "releases"))
    users = release.row_store("user").decode(np.array([7, 21, 999], np.int64))
    assert users.found.tolist() == [True, True, False]
    assert users.columns["age"].tolist() == [1, 99, 0]
    items = release.row_store("item").decode(["item-07", "item-02"])
    assert items.columns["price"].tolist() == [7.0, 2.0]
    assert items.columns["tags"].tolist() == [[0, 1, 2], [0, 1, 0]]
    assert items.columns["shape"].tolist() == [[7.0, -7.0], [2.0, -2.0]]
    vectors = release.row_store("user_vector").decode(np.array([14], np.int64))
    np.testing.assert_array_equal(vectors.columns["embedding"][0], unit_vectors(USERS, 1)[2])


def test_the_index_finds_what_exact_search_finds_and_any_faiss_reads_it(outputs, tmp_path):
    release = open_release(publish(outputs / "publish.yaml", tmp_path / "releases"))
    entry = release.manifest.index
    assert (entry.vectors, entry.dim, entry.metric, entry.recall_k) == (ITEMS, DIM, "ip", 30)
    assert (entry.recall_queries, entry.tuned_queries) == (USERS / 2, USERS / 2)
    assert entry.recall >= 0.95
    queries, items = unit_vectors(USERS, 1), unit_vectors(ITEMS, 2)
    ids, _ = release.index().search(queries, 3)
    expected = np.array(item_ids(), object)[np.argsort(-(queries @ items.T), axis=1)[:, :3]]
    np.testing.assert_array_equal(ids, expected)
    assert faiss.read_index(str(release.path / entry.file)).ntotal == ITEMS


def test_popular_counts_labelled_interactions_of_live_items(outputs, tmp_path):
    release = open_release(publish(outputs / "publish.yaml", tmp_path / "releases"))
    assert release.popular == (("item-05", 2 / 5), ("item-02", 1 / 5), ("item-09", 1 / 5))
    change_plan(outputs, interactions={"path": "log", "item": "item_id"})
    release = open_release(publish(outputs / "publish.yaml", tmp_path / "releases"))
    assert release.popular[0] == ("item-05", 3 / 6)


def test_the_same_inputs_give_the_same_bytes(outputs, tmp_path):
    first = open_release(publish(outputs / "publish.yaml", tmp_path / "one")).manifest.files
    second = open_release(publish(outputs / "publish.yaml", tmp_path / "two")).manifest.files
    assert first == second


def test_an_earlier_release_stays_and_ids_do_not_collide(outputs, tmp_path):
    paths = [publish(outputs / "publish.yaml", tmp_path / "releases") for _ in range(3)]
    assert len(set(paths)) == 3
    for path in paths:
        open_release(path)
    assert open_release(tmp_path / "releases").path == paths[-1]


def test_users_without_a_vector_are_allowed(outputs, tmp_path):
    write(
        outputs / "user_ebd.parquet",
        {"user_id": np.array([7, 0], np.int64), "prediction": unit_vectors(2, 1).tolist()},
    )
    release = open_release(publish(outputs / "publish.yaml", tmp_path / "releases"))
    assert release.manifest.row_sets["user_vector"].rows == 2


def break_rows(outputs):
    write(outputs / "user.parquet", {"user_id": [1], "spend": [1.0]})


def break_type(outputs):
    write(outputs / "user.parquet", {"user_id": [1], "age": ["old"], "spend": [1.0]})


def break_size(outputs):
    write(outputs / "user.parquet", {"user_id": [1], "age": [100], "spend": [1.0]})


def break_number(outputs):
    write(outputs / "user.parquet", {"user_id": [1], "age": [1], "spend": [float("inf")]})


def break_id(outputs):
    write(outputs / "user.parquet", {"user_id": ["1"], "age": [1], "spend": [1.0]})


def break_null_id(outputs):
    write(outputs / "user.parquet", {"user_id": [1, None], "age": [1, 1], "spend": [1.0, 1.0]})


def break_empty(outputs):
    none = {"user_id": pa.int64(), "age": pa.int32(), "spend": pa.float32()}
    write(outputs / "user.parquet", {name: pa.array([], kind) for name, kind in none.items()})


def break_parquet(outputs):
    (outputs / "item.parquet").write_bytes(b"PAR1 not really")


def break_missing(outputs):
    (outputs / "item.parquet").unlink()


def break_no_parts(outputs):
    for file in (outputs / "log").iterdir():
        file.unlink()


def break_vector_nan(outputs):
    vectors = unit_vectors(ITEMS, 2)
    vectors[4, 2] = np.nan
    write(outputs / "item_ebd.parquet", {"item_id": item_ids(), "prediction": vectors.tolist()})


def lengthen_vector(outputs):
    vectors = unit_vectors(ITEMS, 2)
    vectors[4] *= 1e25
    write(outputs / "item_ebd.parquet", {"item_id": item_ids(), "prediction": vectors.tolist()})


def break_user_vector_nan(outputs):
    write(outputs / "user_ebd.parquet", {"user_id": np.array([7], np.int64), "prediction": [[np.nan] * DIM]})


def break_vector_lengths(outputs):
    vectors = unit_vectors(ITEMS, 2).tolist()
    vectors[3].pop()
    write(outputs / "item_ebd.parquet", {"item_id": item_ids(), "prediction": vectors})


def break_vector_dims(outputs):
    write(outputs / "item_ebd.parquet", {"item_id": item_ids(), "prediction": unit_vectors(ITEMS, 2)[:, 1:].tolist()})


def break_vector_type(outputs):
    write(outputs / "item_ebd.parquet", {"item_id": item_ids(), "prediction": [1.0] * ITEMS})


def break_item_ids(outputs):
    write(outputs / "item_ebd.parquet", {"item_id": item_ids()[1:], "prediction": unit_vectors(ITEMS - 1, 2).tolist()})


def break_user_ids(outputs):
    write(outputs / "user_ebd.parquet", {"user_id": [7, 8], "prediction": unit_vectors(2, 1).tolist()})


def break_ranker(outputs):
    (outputs / "ranker" / "ranker.onnx").unlink()


def break_report(outputs):
    (outputs / "ranker" / "ranker.json").write_text("{}")


def break_model(outputs):
    (outputs / "ranker" / "ranker.onnx").write_bytes(b"\x00" * 100)


def break_inputs(outputs):
    write_ranker(outputs / "ranker", ("user_age", "item_colour"))


def break_interactions(outputs):
    write(outputs / "log" / "part-1.parquet", {"item": ["item-09"]})


def break_label(outputs):
    for name in ("part-0", "part-1"):
        write(outputs / "log" / f"{name}.parquet", {"item_id": ["item-09"], "label": ["yes"]})


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (break_rows, InvalidInputError, "user.parquet has no column 'age'"),
        (break_type, InvalidInputError, "column 'age' has type string; the spec says scalar of int32"),
        (break_size, InvalidInputError, "column 'age' has values from 100 to 100; the spec says 0 to 99"),
        (break_number, InvalidInputError, "column 'spend' has NaN or infinity"),
        (break_id, InvalidInputError, "id column 'user_id' has type string; the spec says int64"),
        (break_null_id, InvalidInputError, "id column 'user_id' has 1 nulls"),
        (break_empty, InvalidInputError, "user.parquet has no rows"),
        (break_parquet, InvalidInputError, "item.parquet cannot be read as Parquet"),
        (break_missing, NotFoundError, "no file or directory .*item.parquet"),
        (break_no_parts, NotFoundError, "log holds no .parquet file"),
        (lengthen_vector, InvalidInputError, "a vector of norm 1e\\+25, that of item_id 'item-04'; above 1e\\+18"),
        (break_vector_nan, InvalidInputError, "1 vectors with NaN or infinity, such as that of item_id 'item-04'"),
        (break_user_vector_nan, InvalidInputError, "such as that of user_id 7; the training"),
        (break_vector_lengths, InvalidInputError, r"vectors of the lengths \[7, 8\]"),
        (break_vector_dims, InvalidInputError, "vectors of 8 elements and .* of 7"),
        (break_vector_type, InvalidInputError, "'prediction' has type double; vectors are lists of floats"),
        (break_item_ids, InvalidInputError, "1 item ids of .*item.parquet are not in .*such as 'item-00'"),
        (break_user_ids, InvalidInputError, "1 user ids of .*user_ebd.parquet are not in .*such as 8"),
        (break_ranker, NotFoundError, "no .*ranker.onnx; train the ranker first"),
        (break_report, InvalidInputError, "ranker.json .*max_error"),
        (break_model, InvalidInputError, "ranker.onnx is not an ONNX model"),
        (break_inputs, InvalidInputError, r"too many \['item_colour'\], missing \['item_price'\]"),
        (break_interactions, InvalidInputError, "part-1.parquet has no column 'item_id'"),
        (break_label, InvalidInputError, "label 'label' has type string"),
    ],
)
def test_bad_inputs_are_named_and_leave_the_releases_alone(outputs, tmp_path, spoil, kind, says):
    good = publish(outputs / "publish.yaml", tmp_path / "releases")
    spoil(outputs)
    with pytest.raises(kind, match=says):
        publish(outputs / "publish.yaml", tmp_path / "releases")
    assert open_release(tmp_path / "releases").path == good
    assert {path.name for path in (tmp_path / "releases").iterdir()} == {good.name, "CURRENT", ".lock"}


PLAN = "{spec: a, rows: {user: u, item: i}, vectors: {user: u, item: i}, ranker: r, interactions: {path: p, item: i}, "


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "cannot be read as YAML"),
        ("just text", "is not a mapping"),
        ("spec: spec.json", "lacks the key 'rows'"),
        ("{spec: a, rows: {user: u}, vectors: {}, ranker: r, interactions: {path: p, item: i}}", "'rows.item'"),
        ("{spec: a, rows: {}, vectors: {}, ranker: r, interactions: {path: p}}", "'interactions.item'"),
        ("{spec: 1, rows: {user: u, item: i}, vectors: {user: u, item: i}, ranker: r, "
         "interactions: {path: p, item: i}}", "'spec' must be a non-empty string"),
        ("{spec: a, rows: {}, vectors: {}, ranker: r, interactions: {path: p, item: i}, index: x}", "key 'index'"),
        (PLAN + "rank: {runtimes: [onnx]}}", "the runtime 'onnx'; known are onnxruntime-fp32, "),
        (PLAN + "rank: {runtime: fast}}", "the runtime 'fast'; known are"),
        (PLAN + "rank: {runtimes: openvino-bf16}}", "'rank.runtimes' must be a list of names"),
        (PLAN + "rank: {candidates: 0}}", "'rank.candidates' must be a whole number from 1 to 10000, not 0"),
        (PLAN + "rank: {candidates: 20000}}", "must be a whole number from 1 to 10000, not 20000"),
        (PLAN + "rank: {runtime: openvino-bf16, runtimes: [openvino-bf16]}}", "keep one"),
        (PLAN + "rank: {fast: true}}", "unknown key 'rank.fast'"),
    ],
)  # fmt: skip
def test_a_bad_plan_names_its_key(tmp_path, text, says):
    (tmp_path / "publish.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        publish(tmp_path / "publish.yaml", tmp_path / "releases")
    assert not (tmp_path / "releases").exists()


def test_a_missing_plan_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="no publish plan at"):
        publish(tmp_path / "publish.yaml", tmp_path / "releases")


@pytest.mark.parametrize("file", ["rows/user.rows", "rows/item_vector.rows", f"index/item_{DIM}.ivf"])
def test_what_was_not_written_as_it_was_meant_is_not_published(outputs, tmp_path, monkeypatch, file):
    """The manifest's hash is the damaged file's, so only `publish` can tell."""

    def damage(inputs, building):
        content = bytearray((building / file).read_bytes())
        content[-1] ^= 1
        (building / file).write_bytes(content)
        return write_popular(inputs, building)

    monkeypatch.setattr("friesian_fast.release.publish.write_popular", damage)
    with pytest.raises(InvalidInputError, match=f"{file}: .*checksum.* does not match"):
        publish(outputs / "publish.yaml", tmp_path / "releases")
    assert [path.name for path in (tmp_path / "releases").iterdir()] == [".lock"]


def test_what_was_written_is_held_against_its_checksums_once(outputs, tmp_path, monkeypatch):
    checked = []
    for opens in (MappedRowStore, IvfIndex):

        def noted(path, *rest, verify=True, _open=opens.open, **options):
            checked.extend([Path(path).name] if verify else [])
            return _open(path, *rest, verify=verify, **options)

        monkeypatch.setattr(opens, "open", noted)
    path = publish(outputs / "publish.yaml", tmp_path / "releases")
    assert sorted(checked) == sorted([f"item_{DIM}.ivf", *(file.name for file in path.glob("rows/*"))])


def test_a_killed_publish_leaves_nothing_visible_and_the_next_cleans_up(outputs, tmp_path):
    code = (
        "import sys, os, signal\n"
        "from friesian_fast.release import publish as p\n"
        "p.verify = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "p.publish(sys.argv[1], sys.argv[2])\n"
    )
    releases = tmp_path / "releases"
    killed = subprocess.run([sys.executable, "-c", code, str(outputs / "publish.yaml"), str(releases)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (leftover,) = releases.glob(".building-*")
    with pytest.raises(FriesianError, match="half-written"):
        open_release(leftover)
    with pytest.raises(FriesianError, match="holds neither"):
        open_release(releases)
    path = publish(outputs / "publish.yaml", releases)
    assert {entry.name for entry in releases.iterdir()} == {path.name, "CURRENT", ".lock"}


def test_a_place_that_is_a_file_is_named(outputs, tmp_path):
    (tmp_path / "releases").touch()
    with pytest.raises(InvalidInputError, match="cannot make the directory of releases .*releases: File exists"):
        publish(outputs / "publish.yaml", tmp_path / "releases")


def test_two_publishes_at_once_both_succeed(outputs, tmp_path):
    context = multiprocessing.get_context("spawn")
    runs = [
        context.Process(target=publish, args=(os.fspath(outputs / "publish.yaml"), os.fspath(tmp_path / "releases")))
        for _ in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0, 0]
    ids = [path for path in (tmp_path / "releases").iterdir() if path.is_dir()]
    assert len(ids) == 3
    for path in ids:
        open_release(path)
    assert open_release(tmp_path / "releases").path in ids


def test_the_command_prints_a_summary_or_the_manifest(outputs, tmp_path):
    arguments = ["publish", "-c", str(outputs / "publish.yaml"), "--releases", str(tmp_path / "releases")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert f"item_{DIM}.idx" in shown.stdout
    assert [line.split(" ")[1] for line in shown.stderr.splitlines()] == [
        "reading",
        "writing",
        "building",
        "timing",
        "writing",
        "verifying",
    ]
    printed = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(printed.stdout)["format"] == "friesian-release"
