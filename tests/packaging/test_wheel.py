"""The wheel a user gets: built, installed into an empty venv, tried."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SMOKE = """
import sys
import friesian_fast
from friesian_fast import _core
from friesian_fast.hashing import md5_bucket
import numpy as np
assert "site-packages" in friesian_fast.__file__, friesian_fast.__file__
buckets = md5_bucket(np.array(["abc", "message digest"]), 1000)
assert buckets.tolist() == [{abc}, {digest}], buckets
assert not any(heavy in sys.modules for heavy in ("pyspark", "tensorflow", "torch", "pyarrow"))
print(_core.active_simd_level())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(ROOT))
    (path,) = out.glob("friesian_fast-*.whl")
    return path


@pytest.fixture(scope="module")
def empty_venv(wheel, tmp_path_factory):
    venv = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", str(venv))
    run(str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", str(wheel))
    return venv / "bin"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_wheel_holds_both_packages_and_the_generated_protos(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "friesian_fast/py.typed",
        "friesian_fast/_core.pyi",
        "friesian_services/_pb/recommender_pb2.py",
        "friesian_services/_pb/friesian_v1_pb2_grpc.py",
    ):
        assert name in names
    assert any(name.startswith("friesian_fast/_core.") and name.endswith(".so") for name in names)
    assert not any(name.startswith(("tests/", "cpp/", "bench/")) for name in names)


@pytest.mark.slow
def test_wheel_installs_into_an_empty_venv_and_works(empty_venv, tmp_path):
    import hashlib

    want = {
        key: int(hashlib.md5(text).hexdigest(), 16) % 1000
        for key, text in (("abc", b"abc"), ("digest", b"message digest"))
    }
    level = run(str(empty_venv / "python"), "-c", SMOKE.format(**want), cwd=tmp_path).strip()
    assert level in ("scalar", "avx2", "avx512")


@pytest.mark.slow
def test_the_command_of_the_bare_wheel_helps_and_names_missing_extras(empty_venv, tmp_path):
    assert "recsys2021" in run(str(empty_venv / "friesian"), "--help", cwd=tmp_path)
    assert run(str(empty_venv / "friesian"), "--version", cwd=tmp_path).startswith("friesian 0.")
