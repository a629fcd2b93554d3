"""Vocabularies as files: the values in id order in one Arrow IPC file, mapped by every task that looks ids up."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import Vocabulary
from friesian_fast.vocab import VocabularyIndex, merge_runs

_HASH_ROWS = 1 << 18

# Building the slots of fewer values takes a worker less time than mapping a file.
_SLOTS_FROM = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyFile:
    """Values with ids 1 to `size`, in id order, in the column ``value`` of an Arrow IPC file."""

    path: str
    size: int
    sha256: str

    @property
    def pinned(self) -> Vocabulary:
        """As the FeatureSpec keeps it."""
        return Vocabulary(size=self.size, sha256=self.sha256)


def write_run(path: Path, values: Any, counts: Any) -> None:
    """Write a run of `VocabularyBuilder.run`, ready to be merged."""
    import pyarrow as pa

    _write(path, pa.record_batch({"value": pa.array(values), "count": pa.array(counts, pa.int64())}))


def merge_run_files(runs: list[str], freq_limit: int, path: Path) -> VocabularyFile:
    """Add up what the tasks counted and write the vocabulary: ids by descending count, then by the value's bytes.

    The runs are mapped and read once: the memory this takes is that of the vocabulary.
    """
    import pyarrow as pa

    batches = [read(run) for run in runs]
    counted = [(batch.column("value"), batch.column("count").to_numpy()) for batch in batches]
    values = pa.array(merge_runs(counted, freq_limit))
    file = write_vocabulary(path, values)
    if file.size >= _SLOTS_FROM:
        slots = VocabularyIndex(values).slots
        _write(_slots_path(path), pa.record_batch({"slot": pa.array(slots)}))
    return file


def write_vocabulary(path: Path, values: Any) -> VocabularyFile:
    """Write the values, an Arrow string array in id order."""
    import pyarrow as pa

    _write(path, pa.record_batch({"value": values}))
    return VocabularyFile(path=str(path), size=len(values), sha256=values_sha256(values))


def read(path: str | Path) -> Any:
    """The one batch of such a file, mapped, not copied."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).get_batch(0)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"{path} cannot be read as a vocabulary ({error}); make it again") from error


def values_sha256(values: Any) -> str:
    """SHA-256, in hex, over the values, each followed by a line feed: what `Vocabulary.of` pins."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.sha256()
    line_feed = pa.scalar("\n", values.type)
    for start in range(0, len(values), _HASH_ROWS):
        part = values.slice(start, _HASH_ROWS)
        lines = pc.binary_join_element_wise(part, line_feed, pa.scalar("", values.type))
        offsets = lines.buffers()[1]
        width = 8 if pa.types.is_large_string(values.type) else 4
        end = int.from_bytes(memoryview(offsets)[len(lines) * width : (len(lines) + 1) * width], "little")
        digest.update(memoryview(lines.buffers()[2])[:end])
    return digest.hexdigest()


@lru_cache(maxsize=32)
def load_index(path: str) -> VocabularyIndex:
    """The index of a vocabulary file, once per worker process; files are never rewritten under one name.

    The values, and the slots if there are any beside them, are mapped: all workers of a machine share them.
    """
    values = read(path).column("value")
    slots = _slots_path(Path(path))
    return VocabularyIndex(values, read(slots).column("slot").to_numpy() if slots.exists() else None)


def _slots_path(path: Path) -> Path:
    return path.with_suffix(".slots")


def _write(path: Path, batch: Any) -> None:
    import pyarrow as pa

    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    partial.replace(path)
