"""A stretch of rows as NumPy columns: read by Arrow, checked, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.fields import Field, columns_of
from friesian_fast.train.order import Piece

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Lists of different lengths: the elements of row i are ``values[offsets[i]:offsets[i + 1]]``."""

    values: Array
    offsets: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64], length: int | None) -> tuple[Array, NDArray[np.float32]]:
        """The lists of some rows filled up with zeros, and the mask of what is no filling; both (n, length)."""
        start = self.offsets[rows]
        lengths = self.offsets[rows + 1] - start
        width = max(1, int(lengths.max(initial=1))) if length is None else length
        places = np.arange(width)
        mask = places < lengths[:, None]
        filled = np.zeros(mask.shape, self.values.dtype)
        filled[mask] = self.values[(start[:, None] + places)[mask]]
        return filled, mask.astype(np.float32)


Columns = dict[str, "Array | Ragged"]


def read_stretch(pieces: Sequence[Piece], start: int, stop: int, fields: Sequence[Field]) -> Columns:
    """Read rows ``[start, stop)`` of the pieces' rows laid end to end.

    Raises
    ------
    InvalidInputError
        Naming the first column, file and row that holds a null, a number that is not finite, an id outside its
        vocabulary, or a list that is too long.
    """
    names = columns_of(fields)
    parts: dict[str, list[Array | Ragged]] = {name: [] for name in names}
    by_name = {field.name: field for field in fields if field.mask_of is None}
    at = 0
    for piece in pieces:
        low, high = max(start - at, 0), min(stop - at, piece.rows)
        at += piece.rows
        if low >= high:
            continue
        table = read_piece(piece, names).slice(low, high - low)
        for name in names:
            field = by_name.get(name) or Field(name=name, dtype="float32", is_list=True)
            parts[name].append(_to_numpy(table.column(name), field, piece, low))
    return {name: _joined(values) for name, values in parts.items()}


def take(columns: Columns, fields: Sequence[Field], rows: NDArray[np.int64]) -> dict[str, Array]:
    """A batch: every field's values in these rows, of shape (n,) or (n, length)."""
    batch: dict[str, Array] = {}
    masks: dict[str, Array] = {}
    lengths = {field.name: field.length for field in fields if field.is_list and field.mask_of is None}
    for field in fields:
        if field.mask_of is not None:
            continue
        column = columns[field.name]
        if isinstance(column, Ragged):
            batch[field.name], masks[field.name] = column.take(rows, lengths[field.name])
        else:
            batch[field.name] = column[rows]
    for field in fields:
        if field.mask_of is not None:
            batch[field.name] = _mask(columns[field.mask_of], masks, field, lengths, rows).astype(field.dtype)
    return {field.name: batch[field.name] for field in fields}


def _mask(
    column: Array | Ragged,
    masks: Mapping[str, Array],
    field: Field,
    lengths: Mapping[str, int | None],
    rows: NDArray[np.int64],
) -> Array:
    source = str(field.mask_of)
    if isinstance(column, Ragged):
        known = masks.get(source)
        return column.take(rows, lengths.get(source, field.length))[1] if known is None else known
    return np.ones((len(rows), column.shape[1]), np.float32)


def read_piece(piece: Piece, names: Sequence[str] | None = None) -> Any:
    """The rows of a piece as an Arrow table: all columns, or those of these names."""
    if piece.table is not None:
        return piece.table if names is None else piece.table.select(names)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(piece.file, memory_map=True) as file:
            return file.read_row_group(piece.group, columns=names, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"{piece.file} cannot be read ({error}); did another process replace it?") from error


def first_row(piece: Piece, names: Sequence[str]) -> Piece:
    """A piece of the first row alone, in memory, for which no whole row group is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if piece.table is not None:
        table = piece.table.slice(0, 1)
    else:
        with pq.ParquetFile(piece.file) as file:
            batches = file.iter_batches(batch_size=1, row_groups=[piece.group], columns=list(names), use_threads=False)
            table = pa.Table.from_batches([next(batches)])
    return Piece(piece.file, piece.group, 1, table)


def _to_numpy(column: Any, field: Field, piece: Piece, low: int) -> Array | Ragged:
    import pyarrow as pa

    where = f"{piece.file}: column '{field.name}'"
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy())) + low
        raise InvalidInputError(f"{where} has no value in row {row} of its row group {piece.group}; fill it first")
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if not field.is_list:
        values = _numbers(array, field, where)
        _check(values, field, where, lambda at: at + low, piece)
        return values
    flat = array.flatten()
    if flat.null_count:
        raise InvalidInputError(f"{where} holds lists with missing elements; fill them first")
    values = _numbers(flat, field, where)
    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
        _check(values, field, where, lambda at: at // width + low, piece)
        return values.reshape(-1, width)
    offsets = array.offsets.to_numpy().astype(np.int64)
    offsets = offsets - offsets[0]
    _check(values, field, where, lambda at: int(np.searchsorted(offsets, at, side="right")) - 1 + low, piece)
    lengths = np.diff(offsets)
    if field.length is not None and len(lengths) and lengths.max() > field.length:
        row = int(np.argmax(lengths > field.length))
        raise InvalidInputError(
            f"{where} has {lengths[row]} elements in row {row + low} of its row group {piece.group}, the model takes "
            f"{field.length}; cut the lists first"
        )
    return Ragged(values, offsets)


def _numbers(array: Any, field: Field, where: str) -> Array:
    import pyarrow as pa

    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    floating = field.dtype.startswith("float")
    try:
        # Integers must not change; floats may lose precision, as float32 models take them.
        array = array.cast(pa.from_numpy_dtype(np.dtype(field.dtype)), safe=not floating)
    except pa.ArrowException as error:
        raise InvalidInputError(f"{where} does not fit {field.dtype}: {error}") from error
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def _check(values: Array, field: Field, where: str, row_of: Any, piece: Piece) -> None:
    if field.dtype.startswith("float"):
        bad = ~np.isfinite(values)
        if bad.any():
            at = int(np.argmax(bad))
            raise InvalidInputError(
                f"{where} holds {values[at]} in row {row_of(at)} of its row group {piece.group} "
                f"({int(bad.sum())} such values); fill or drop them in preprocessing"
            )
    if field.is_binary and not ((values == 0) | (values == 1)).all():
        at = int(np.argmax((values != 0) & (values != 1)))
        raise InvalidInputError(
            f"{where} holds {values[at]} in row {row_of(at)} of its row group {piece.group}; labels of a binary loss "
            "are 0 or 1"
        )
    if field.size is not None and len(values) and (values.min() < 0 or values.max() >= field.size):
        at = int(np.argmax((values < 0) | (values >= field.size)))
        raise InvalidInputError(
            f"{where} holds id {values[at]} in row {row_of(at)} of its row group {piece.group}, outside "
            f"[0, {field.size}); the table and the sizes come from different runs of preprocessing, run it again"
        )


def _joined(parts: list[Array | Ragged]) -> Array | Ragged:
    if not any(isinstance(part, Ragged) for part in parts):
        return np.concatenate(parts) if len(parts) > 1 else parts[0]  # type: ignore[arg-type]
    ragged = [part for part in parts if isinstance(part, Ragged)]
    values = np.concatenate([part.values for part in ragged])
    lengths = np.concatenate([np.diff(part.offsets) for part in ragged])
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def prefetched(batches: Iterator[Any], depth: int) -> Iterator[Any]:
    """The same items, made ahead by a thread, at most `depth` of them; what it raises is raised here."""
    import queue
    import threading

    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stopped.is_set():
            try:
                ready.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fill() -> None:
        try:
            for batch in batches:
                if not put("batch", batch):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    threading.Thread(target=fill, name="friesian-input", daemon=True).start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
