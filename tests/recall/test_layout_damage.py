"""A damaged layout is refused; without `verify` a search over damaged lists only must not crash."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import IvfIndex

HEADER = 312


@pytest.fixture(params=["int64", "string"])
def sound(tmp_path, request):
    vectors = np.random.default_rng(0).standard_normal((12, 3), dtype=np.float32)
    ids = np.arange(12) if request.param == "int64" else [f"item {i}" for i in range(12)]
    return IvfIndex.build(vectors, ids, path=tmp_path / "i.idx", nlist=3, metric="l2").path.read_bytes()


def test_every_truncation_is_refused(tmp_path, sound):
    path = tmp_path / "cut.ivf"
    for size in range(len(sound)):
        path.write_bytes(sound[:size])
        with pytest.raises(InvalidInputError, match=r"cut\.ivf: it has"):
            IvfIndex.open(path)


def sections(sound):
    """Byte ranges of the nine sections, from the header."""
    words = np.frombuffer(sound[88:304], np.uint64).reshape(9, 3).tolist()
    return [range(offset, offset + size) for offset, size, _ in words]


def test_every_flipped_bit_is_found(tmp_path, sound):
    path = tmp_path / "flip.ivf"
    rng = np.random.default_rng(0)
    queries = np.ones((2, 3), np.float32)
    for byte in [*range(HEADER), *(i for part in sections(sound) for i in part)]:
        damaged = bytearray(sound)
        damaged[byte] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(InvalidInputError, match=r"flip\.ivf"):
            IvfIndex.open(path)
        with suppress(InvalidInputError):
            index = IvfIndex.open(path, verify=False)
            assert byte >= HEADER
            for nprobe, rerank in ((1, 5), (3, 5), (3, None)):
                assert index.search(queries, 20, nprobe=nprobe, rerank=rerank)[0].shape == (2, 20)


def test_text_outside_the_file_is_named(tmp_path):
    vectors = np.eye(4, dtype=np.float32)
    path = IvfIndex.build(vectors, list("abcd"), path=tmp_path / "i.idx").path
    sound = path.read_bytes()
    at = sections(sound)[8].start
    path.write_bytes(sound[: at + 8] + b"\xff" * 8 + sound[at + 16 :])
    with pytest.raises(InvalidInputError, match=r"i\.ivf: the text of id .* lies outside the file"):
        IvfIndex.open(path, verify=False).search(vectors, 4)


def test_another_version_is_named(tmp_path, sound):
    path = tmp_path / "old.ivf"
    for version in (1, 3, 5):
        path.write_bytes(sound[:8] + version.to_bytes(4, "little") + sound[12:])
        message = f"it has version {version}; this code reads version 4: build the index again"
        with pytest.raises(InvalidInputError, match=message):
            IvfIndex.open(path)
