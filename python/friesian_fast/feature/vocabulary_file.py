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
from friesian_fast.vocab import VocabularyBuilder, VocabularyIndex

_HASH_ROWS = 1 << 18


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


def write_counts(path: Path, values: Any, counts: Any) -> None:
    """Write values and how often each was seen, ready to be merged."""
    import pyarrow as pa

    batch = pa.record_batch({"value": pa.array(values), "count": pa.array(counts, pa.int64())})
    _write(path, batch)


def merge_counts(parts: list[str], freq_limit: int, path: Path) -> VocabularyFile:
    """Add up what the tasks counted and write the vocabulary: ids by descending count, then by the value's bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(parts) == 1:  # already in the order of the ids: the frequent ones come first
        batch = read(parts[0])
        kept = pc.sum(pc.greater_equal(batch.column("count"), freq_limit)).as_py() or 0
        values = batch.column("value").slice(0, kept)
    else:
        builder = VocabularyBuilder()
        for part in parts:
            batch = read(part)
            builder.merge(batch.column("value"), batch.column("count").to_numpy())
        values = pa.array(builder.finish(freq_limit)[0])
    return write_vocabulary(path, values)


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
    """The index of a vocabulary file, built once per worker process; files are never rewritten under one name."""
    return VocabularyIndex(read(path).column("value"))


def _write(path: Path, batch: Any) -> None:
    import pyarrow as pa

    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    partial.replace(path)
