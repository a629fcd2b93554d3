"""Every way a release can be damaged is noticed when it is opened."""

import hashlib
import json
import shutil

import pytest

from friesian_fast.errors import ReleaseError
from friesian_fast.release.manifest import Manifest
from friesian_fast.release.open import open_release
from friesian_fast.release.publish import publish


@pytest.fixture
def release(outputs, tmp_path):
    return publish(outputs / "publish.yaml", tmp_path / "releases")


def edit_manifest(release, change):
    path = release / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


PARTS = (
    "index/item_8.idx",
    "index/item_8.ivf",
    "popular.json",
    "rank/ranker.onnx",
    "rows/item.rows",
    "rows/item_vector.rows",
    "rows/user.rows",
    "rows/user_vector.rows",
    "spec.json",
)


@pytest.mark.parametrize("name", PARTS)
def test_a_damaged_file_is_named(release, name):
    whole = (release / name).read_bytes()
    for position in (0, len(whole) // 2, len(whole) - 1):
        flip(release / name, position)
        with pytest.raises(ReleaseError, match=f"{name} was altered"):
            open_release(release)
        (release / name).write_bytes(whole)
    (release / name).write_bytes(whole[:-1])
    with pytest.raises(ReleaseError, match=f"{name} has {len(whole) - 1} bytes instead of {len(whole)}"):
        open_release(release)
    (release / name).unlink()
    with pytest.raises(ReleaseError, match=f"{name} is missing; publish again"):
        open_release(release)
    (release / name).write_bytes(whole)
    open_release(release)


def test_an_extra_file_is_refused(release):
    (release / "rows" / "more.rows").write_bytes(b"")
    with pytest.raises(ReleaseError, match="rows/more.rows is not in the manifest"):
        open_release(release)


def test_a_link_is_no_file(release, tmp_path):
    shutil.move(release / "popular.json", tmp_path / "popular.json")
    (release / "popular.json").symlink_to(tmp_path / "popular.json")
    with pytest.raises(ReleaseError, match="popular.json is not a regular file"):
        open_release(release)


def test_rows_and_index_can_be_copied_into_huge_pages(release):
    mapped, copied = open_release(release), open_release(release, huge_pages=True)
    for name in ("user", "item_vector"):
        ids = mapped.row_store(name).ids()[:3]
        assert copied.row_store(name).get(ids) == mapped.row_store(name).get(ids)
    assert len(copied.index()) == len(mapped.index())
    assert (mapped.huge_pages, copied.huge_pages) == (False, True)


def test_the_hashes_can_be_left_out_but_not_the_sizes(release):
    flip(release / "index" / "item_8.idx", 50)
    assert open_release(release, verify=False).id == release.name
    with (release / "index" / "item_8.idx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ReleaseError, match="bytes instead of"):
        open_release(release, verify=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(version=5), "version 5 and this code reads version 6"),
        (lambda m: m.update(format="other"), "'format' is not 'friesian-release'"),
        (lambda m: m.pop("index"), "lacks index"),
        (lambda m: m.update(more=1), "unknown fields: more"),
        (lambda m: m.update(id="20200101T000000-00000000"), "a release directory keeps its name"),
        (lambda m: m.update(id=3), "'id' is not a string"),
        (lambda m: m.update(files=[]), "'files' is not an object"),
        (lambda m: m["index"].update(dim=-1), "dim = -1"),
        (lambda m: m["index"].pop("nprobe"), "'index' lacks nprobe"),
        (lambda m: m["files"].update({"spec.json": 1}), "spec.json'.' is not an object"),
        (lambda m: m.update(spec_fingerprint="0" * 64), "fingerprint .* instead of 00000000"),
        (lambda m: m["row_sets"]["user"].update(tag="00" * 8), "user.rows was made under another spec"),
        (lambda m: m["row_sets"]["user"].update(rows=1), "user.rows has 40 rows instead of 1"),
        (lambda m: m["row_sets"].pop("user"), "has the row sets"),
        (lambda m: m["row_sets"]["item"].update(file="rows/user.rows"), "user.rows cannot be opened"),
        (lambda m: m["ranker"].update(file="../ranker.onnx"), "not among its files"),
        (lambda m: m["ranker"].update(model="rank/gone"), "names 'rank/gone' as a part, but not among its files"),
        (
            lambda m: m["ranker"].update(runtime="openvino-int8"),
            "ranks with 'rank/ranker.onnx' on openvino-int8, which runs ranker_static_int8.onnx",
        ),
        (lambda m: m["ranker"].update(runtimes={}), "'ranker.runtimes' is not a list"),
        (lambda m: m["ranker"].update(requests=-1), "'ranker' has requests = -1"),
        (
            lambda m: m["ranker"].update(candidates=20000),
            "'ranker' has candidates = 20000; a request may rank 1 to 10000",
        ),
        (lambda m: m["ranker"]["runtimes"][0].pop("p99_ms"), "'ranker.runtimes.0.' lacks p99_ms"),
        (lambda m: m["ranker"]["runtimes"][0].update(agreement="all"), "agreement = 'all', which is no valid float"),
        (lambda m: m["ranker"].update(skipped=[]), "'ranker.skipped' is not an object"),
        (lambda m: m.update(ranker=1), "'ranker' is not an object"),
        (lambda m: m["index"].update(layout="spec.json"), "spec.json cannot be opened"),
        (lambda m: m["index"].update(vectors=7), "item_8.ivf has vectors 30 instead of 7"),
        (lambda m: m["index"].update(metric="l2"), "item_8.ivf has metric ip instead of l2"),
        (lambda m: m["index"].update(recall=float("nan")), "recall = nan"),
        (lambda m: m["popular"].update(file="/etc/passwd"), "'/etc/passwd' as a part, but not among its files"),
        (lambda m: m["popular"].update(items=7), "popular.json has 3 items instead of 7"),
        (lambda m: m["popular"].update(file="spec.json"), "not a list of ids and scores"),
    ],
)
def test_a_changed_manifest_is_refused(release, change, says):
    edit_manifest(release, change)
    with pytest.raises(ReleaseError, match=says):
        open_release(release)


def test_a_manifest_that_is_no_json_is_refused(release):
    (release / "manifest.json").write_text("{")
    with pytest.raises(ReleaseError, match="manifest.json: it is not valid JSON"):
        open_release(release)
    (release / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ReleaseError, match="not UTF-8"):
        open_release(release)
    (release / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(ReleaseError, match="manifest.json: it is not valid JSON"):
        open_release(release)


def test_a_fallback_id_of_the_wrong_type_is_refused(release):
    text = (release / "popular.json").read_text().replace('"item-05"', "5")
    (release / "popular.json").write_text(text)
    entry = {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    edit_manifest(release, lambda m: m["files"].update({"popular.json": entry}))
    with pytest.raises(ReleaseError, match="popular.json has the id 5, which is no str"):
        open_release(release)


def test_the_manifest_reads_back_as_it_was_written(release):
    text = (release / "manifest.json").read_text()
    assert Manifest.from_json(text).to_json() == text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "says ''"),
        ("../x", "no release id"),
        ("2020", "'2020', which is not there"),
        ("x" * 5000, "no release id"),
    ],
)
def test_a_wrong_current_is_refused(release, content, says):
    (release.parent / "CURRENT").write_text(content)
    with pytest.raises(ReleaseError, match=says):
        open_release(release.parent)


def test_a_missing_current_and_a_missing_directory_are_named(release, tmp_path):
    (release.parent / "CURRENT").unlink()
    with pytest.raises(ReleaseError, match="neither manifest.json nor CURRENT"):
        open_release(release.parent)
    with pytest.raises(ReleaseError, match="no release at .*nothing"):
        open_release(tmp_path / "nothing")


def test_a_release_without_manifest_is_refused(release):
    (release / "manifest.json").unlink()
    with pytest.raises(ReleaseError, match="has no manifest.json"):
        open_release(release.parent)


def test_a_renamed_release_is_refused(release):
    moved = release.with_name("latest")
    release.rename(moved)
    with pytest.raises(ReleaseError, match="keeps its name"):
        open_release(moved)
