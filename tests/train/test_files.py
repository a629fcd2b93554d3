"""Outputs appear whole or not at all."""

import os

import pytest

from friesian_fast.train.files import replacing, save_json


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path):
    save_json({"run": 1}, tmp_path / "report.json")
    with pytest.raises(KeyError), replacing(tmp_path / "report.json") as partial:
        _write_half(partial)
    assert (tmp_path / "report.json").read_text() == '{\n  "run": 1\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def _write_half(path):
    path.write_text("half")
    raise KeyError("way")


def test_a_directory_replaces_a_directory_with_all_it_held(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with replacing(tmp_path / "out") as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


def test_what_a_killed_run_left_is_swept_away(tmp_path):
    left = tmp_path / f".partial-{os.getpid()}-out"  # by an earlier process of our number
    left.mkdir()
    (left / "debris").touch()
    with replacing(tmp_path / "out") as partial:
        assert not partial.exists()
        partial.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert list((tmp_path / "out").iterdir()) == []


def test_not_a_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        save_json({"loss": float("nan")}, tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []
