"""Packed rows: columns to bytes and back, one native call per batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import RowSet

# Packed rows that were looked up, in the order of their ids; `found` says which are there, `count` how many.
RowBatch = _core.RowBatch


class Rows(NamedTuple):
    """Decoded rows, column by column.

    Attributes
    ----------
    columns : dict of str to ndarray
        Shape (n,) for a scalar column, (n, length) for a fixed or list column. Nulls, missing rows and
        the space after a list's elements are 0.
    found : ndarray of bool, shape (n,)
        False where there was no row.
    """

    columns: dict[str, NDArray[Any]]
    found: NDArray[np.bool_]


class PackedRows(Sequence[bytes]):
    """Packed rows that stand one after another in a single buffer.

    Attributes
    ----------
    buffer : ndarray of uint8, shape (bytes,)
    offsets : ndarray of int64, shape (n + 1,)
        Row i is ``buffer[offsets[i]:offsets[i + 1]]``.
    """

    __slots__ = ("buffer", "offsets")

    def __init__(self, buffer: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.buffer = buffer
        self.offsets = offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = index + len(self) if index < 0 else index
        if not 0 <= i < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self.buffer[self.offsets[i] : self.offsets[i + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self.buffer[begin:end].tobytes() for begin, end in pairwise(self.offsets.tolist()))


class RowCodec:
    """Packs and unpacks the rows of one row set.

    Parameters
    ----------
    row_set : RowSet
    tag : bytes
        The 8 bytes of ``FeatureSpec.row_tag(row_set.name)``; every row starts with them.

    Examples
    --------
    >>> from friesian_fast.spec import Column
    >>> row_set = RowSet(name="user", id_column="id", id_type="int64", columns=(Column(name="age", type="int32"),))
    >>> codec = RowCodec(row_set, b"8 bytes!")
    >>> packed = codec.encode({"age": np.array([31, 7], np.int32)})
    >>> codec.decode([packed[1], None]).columns["age"]
    array([7, 0], dtype=int32)
    """

    def __init__(self, row_set: RowSet, tag: bytes) -> None:
        self.row_set = row_set
        self.tag = tag
        self.schema = schema_of(row_set, tag)
        self._names = [column.name for column in row_set.columns]

    def encode(self, columns: Mapping[str, Any]) -> PackedRows:
        """Pack columns into rows.

        Parameters
        ----------
        columns : mapping of str to array
            One per column of the row set, all of n rows and exactly of the column's type; nothing is cast. A
            NumPy array, C-contiguous, of shape (n,) for a scalar and (n, elements) otherwise; or an Arrow array
            (anything with ``__arrow_c_array__``): numbers for a scalar; list, large_list or fixed_size_list
            otherwise. Nulls and slices are honoured.

        Returns
        -------
        PackedRows

        Raises
        ------
        InvalidInputError
            If a column is missing or unknown, or its type, shape or a list's length is not what the row set says.
        TypeError
            If a column is neither a NumPy nor an Arrow array.
        """
        unknown = sorted(set(columns) - set(self._names))
        missing = [name for name in self._names if name not in columns]
        if unknown or missing:
            problem = f"lacks {', '.join(missing)}" if missing else f"does not have {', '.join(unknown)}"
            where = "the input" if missing else f"row set '{self.row_set.name}'"
            raise InvalidInputError(f"{where} {problem}; the columns are {', '.join(self._names)}")
        return PackedRows(*self.schema.encode([_whole(columns[name]) for name in self._names]))

    def decode(self, rows: Sequence[bytes | None], *, ids: Sequence[Any] | NDArray[Any] | None = None) -> Rows:
        """Unpack rows into fresh arrays.

        Parameters
        ----------
        rows : sequence of bytes or None, length n
            ``None`` and ``b""`` are missing rows.
        ids : sequence, length n, optional
            Whose rows these are; only for the text of an error.

        Returns
        -------
        Rows
            Of n rows.

        Raises
        ------
        SchemaMismatchError
            If a row was packed under another feature spec.
        InvalidInputError
            If a row is malformed or does not match its checksum; the message names it and says what is wrong.
        TypeError
            If a row is neither bytes nor None.
        """
        if type(rows) is PackedRows:  # isinstance asks the abstract base, which takes longer than many a row
            return Rows(*self.schema.decode_packed(rows.buffer, rows.offsets, ids))
        return tuple.__new__(Rows, self.schema.decode(rows, ids))  # Rows(*…) takes twice as long

    def decode_batch(self, batch: RowBatch) -> Rows:
        """Unpack rows that were looked up; see `decode`."""
        return Rows(*self.schema.decode_batch(batch))


def schema_of(row_set: RowSet, tag: bytes) -> _core.RowSchema:
    """The native side of a row set."""
    return _core.RowSchema([(c.name, c.type, c.kind, c.length) for c in row_set.columns], tag)


def _whole(column: Any) -> Any:
    """An Arrow chunked array as one array; anything else as it is."""
    if hasattr(column, "combine_chunks") and not hasattr(column, "__arrow_c_array__"):
        return column.combine_chunks()
    return column
