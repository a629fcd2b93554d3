from __future__ import annotations

import os
import subprocess
import sys

import pytest

from friesian_fast import _core

SHOW_LEVEL = "from friesian_fast import _core; print(_core.active_simd_level())"
HASH = "import numpy as np; from friesian_fast.hashing import md5_bucket; print(md5_bucket(np.array([7, 42]), 1000))"


def run(code: str, forced: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "FRIESIAN_SIMD_LEVEL"}
    if forced is not None:
        environment["FRIESIAN_SIMD_LEVEL"] = forced
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


def test_the_variable_forces_the_level(level: str) -> None:
    assert run(SHOW_LEVEL, level).stdout.strip() == level
    assert run(HASH, level).stdout.strip() == "[555 174]"


@pytest.mark.parametrize("forced", [None, ""])
def test_the_best_level_is_the_default(forced: str | None) -> None:
    assert run(SHOW_LEVEL, forced).stdout.strip() == _core.runnable_simd_levels()[-1]


def test_an_unknown_level_is_refused() -> None:
    failed = run(HASH, "avx9")
    assert failed.returncode != 0
    assert "FRIESIAN_SIMD_LEVEL is 'avx9'; it must be one of scalar, avx2, avx512" in failed.stderr
