"""Maps from categories to numbers as files, mapped into memory by every task that looks up."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.vocabulary_file import values_sha256
from friesian_fast.vocab import VocabularyIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFile:
    """One batch in an Arrow IPC file; `sha256` is over what it says, however it was computed."""

    path: str
    size: int
    sha256: str


def write_map(path: Path, batch: Any) -> MapFile:
    """Write a map: first the keys, distinct and ascending, then what they lead to."""
    write_batch_file(path, [batch])
    return MapFile(path=str(path), size=batch.num_rows, sha256=map_sha256(batch))


def write_batch_file(path: Path, batches: Sequence[Any]) -> None:
    """Write batches of one schema as an Arrow IPC file, which appears whole."""
    import pyarrow as pa

    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    partial.replace(path)


def read_batches(path: str) -> list[Any]:
    """The batches of such a file, mapped, not copied."""
    import pyarrow as pa

    try:
        with pa.memory_map(path) as source:
            reader = pa.ipc.open_file(source)
            return [reader.get_batch(i) for i in range(reader.num_record_batches)]
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"{path} cannot be read as a map ({error}); make it again") from error


def read_map(path: str) -> Any:
    """The batch of a map."""
    (batch,) = read_batches(path)
    return batch


def map_sha256(batch: Any) -> str:
    """SHA-256, in hex, of a map's columns one after the other: numbers little-endian, texts after their lengths."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.sha256()
    for array in batch.columns:
        if pa.types.is_string(array.type):
            digest.update(np.asarray(pc.binary_length(array), "<i4").tobytes())
            digest.update(values_sha256(array).encode())
        else:
            flat = array.flatten() if pa.types.is_fixed_size_list(array.type) else array
            digest.update(np.ascontiguousarray(flat.to_numpy(zero_copy_only=False)).tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=32)
def load_numbers(path: str) -> tuple[VocabularyIndex, list[Any]]:
    """`numbers_of` a file, read once per worker process; files are never rewritten under one name."""
    return numbers_of(read_map(path))


def numbers_of(batch: Any) -> tuple[VocabularyIndex, list[Any]]:
    """The index of the keys (ids from 1), and for each number a matrix of one row per key, one column per fold."""
    width = [array.type.list_size for array in batch.columns[1:]]
    columns = [
        array.flatten().to_numpy().reshape(-1, folds) for array, folds in zip(batch.columns[1:], width, strict=True)
    ]
    return VocabularyIndex(batch.column(0)), columns
