"""Rows of any number, written as they are drawn: ten texts by Zipf's law, four counts, a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = [f"text{i}" for i in range(10)]
COUNTS = [f"count{i}" for i in range(4)]
LIST = "items"
# The most distinct values of each text, from a language to a user.
DISTINCT = (64, 1000, 10_000, 100_000, 100_000, 300_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
_EXPONENT, _MOST_ITEMS, _BATCH, _FILE_ROWS = 1.0, 20, 1 << 17, 1 << 20


def write_rows(directory: Path, rows: int, seed: int = 0) -> None:
    """Write so many rows as Parquet files of a million, a batch at a time.

    Parameters
    ----------
    directory : Path
    rows : int
    seed : int
        More rows of the same seed begin with the same rows.
    """
    directory.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    laws = {name: _cumulative(distinct) for name, distinct in zip(TEXTS, DISTINCT, strict=True)}
    for number, start in enumerate(range(0, rows, _FILE_ROWS)):
        count = min(_FILE_ROWS, rows - start)
        with pq.ParquetWriter(directory / f"part-{number:05d}.parquet", _schema()) as writer:
            for begin in range(0, count, _BATCH):
                writer.write_batch(_batch(rng, min(_BATCH, count - begin), laws))


def _schema() -> pa.Schema:
    fields = [(name, pa.string()) for name in TEXTS]
    return pa.schema([*fields, *((name, pa.int32()) for name in COUNTS), (LIST, pa.list_(pa.int32()))])


def _cumulative(distinct: int) -> np.ndarray:
    weights = 1.0 / np.arange(1, distinct + 1) ** _EXPONENT
    return np.cumsum(weights / weights.sum())


def _batch(rng: np.random.Generator, rows: int, laws: dict[str, np.ndarray]) -> pa.RecordBatch:
    columns = [_texts(np.searchsorted(law[:-1], rng.random(rows))) for law in laws.values()]
    columns += [pa.array(rng.integers(0, 10_001, rows), pa.int32()) for _ in COUNTS]
    sizes = rng.integers(0, _MOST_ITEMS + 1, rows)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    items = pa.array(rng.integers(1, 50_000, int(sizes.sum())), pa.int32())
    return pa.RecordBatch.from_arrays([*columns, pa.ListArray.from_arrays(offsets, items)], schema=_schema())


def _texts(ranks: np.ndarray) -> pa.Array:
    """Texts of 16 letters that look like ids: the same rank, the same text."""
    mixed = (ranks.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    letters = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    nibbles = (mixed[:, None] >> (np.arange(16, dtype=np.uint64) * np.uint64(4))) & np.uint64(15)
    offsets = np.arange(0, (len(ranks) + 1) * 16, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ranks), pa.py_buffer(offsets), pa.py_buffer(letters[nibbles]))
