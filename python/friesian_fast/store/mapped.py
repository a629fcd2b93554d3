"""The embedded row store: one memory-mapped file per row set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast._files import replacing
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.spec import RowSet
from friesian_fast.store.base import Ids, normal_ids
from friesian_fast.store.codec import RowBatch, RowCodec, Rows


class MappedRowStore:
    """Packed rows in a file, found by id and decoded in one native call.

    Made by `open`. Safe to use from many threads; the GIL is not held while rows are looked up and decoded.
    """

    def __init__(self, codec: RowCodec, native: _core.RowStore) -> None:
        self._codec = codec
        self._native: _core.RowStore | None = native

    @property
    def row_set(self) -> RowSet:
        """What the rows hold."""
        return self._codec.row_set

    @classmethod
    def write(cls, path: str | Path, row_set: RowSet, tag: bytes, ids: Ids, columns: Mapping[str, Any]) -> None:
        """Write a store, whole or not at all.

        Parameters
        ----------
        path : path
            Replaced if it is there.
        row_set : RowSet
        tag : bytes
            ``FeatureSpec.row_tag(row_set.name)``.
        ids : ndarray of int64 or list of str, length n
        columns : mapping of str to array
            As `RowCodec.encode` takes them, n rows each.

        Raises
        ------
        InvalidInputError
            If an id is there twice, or the ids or a column do not fit the row set.
        """
        codec = RowCodec(row_set, tag)
        packed = codec.encode(columns)
        checked = normal_ids(ids, row_set)
        if len(checked) != len(packed):
            raise InvalidInputError(f"row set '{row_set.name}' has {len(checked)} ids, but {len(packed)} rows")
        strings = row_set.id_type == "string"
        with replacing(path) as partial:
            _core.write_row_store(str(partial), codec.schema, strings, checked, packed.buffer, packed.offsets)

    @classmethod
    def open(
        cls, path: str | Path, row_set: RowSet, tag: bytes, *, verify: bool = True, huge_pages: bool = False
    ) -> MappedRowStore:
        """Map a store that `write` made.

        Parameters
        ----------
        path : path
        row_set : RowSet
        tag : bytes
            The tag the store must have been written with.
        verify : bool, default True
            Read the whole file and compare its checksums. Without, an altered file gives wrong rows; for a file that
            was checked already, as `open_release` does.
        huge_pages : bool, default False
            Copy the file into huge pages instead: look-ups in a store far larger than the caches take less time,
            each process holds its own copy, and whoever cuts the file short cannot harm its readers.

        Raises
        ------
        NotFoundError
            If there is no such file.
        SchemaMismatchError
            If it was written under another feature spec.
        InvalidInputError
            If it is not a row store, truncated, altered, or has ids of another type.
        """
        if not Path(path).is_file():
            raise NotFoundError(f"there is no row store at {path}")
        codec = RowCodec(row_set, tag)
        strings = row_set.id_type == "string"
        return cls(codec, _core.RowStore(str(path), codec.schema, strings, verify, huge_pages))

    def __len__(self) -> int:
        return len(self._open())

    def ids(self) -> NDArray[np.int64] | list[str]:
        """Every id of the store, in the order they were written.

        Returns
        -------
        ndarray of int64, shape (n,), or list of str, length n
        """
        return self._open().ids()

    def decode(self, ids: Ids) -> Rows:
        """Look up and decode rows.

        Parameters
        ----------
        ids : ndarray of int64 or list of str, length n

        Returns
        -------
        Rows
            Of n rows, in the order of the ids; ids without a row are not `found` and all 0.

        Raises
        ------
        InvalidInputError
            If an id is of the wrong type, or a row in the file was damaged.
        """
        return Rows(*self._open().decode(self._codec.schema, normal_ids(ids, self.row_set)))

    def find(self, ids: Ids) -> RowBatch:
        """Look up rows and leave them packed, where they are.

        Parameters
        ----------
        ids : ndarray of int64 or list of str, length n

        Returns
        -------
        RowBatch
            Of n rows; it keeps the file.

        Raises
        ------
        InvalidInputError
            If an id is of the wrong type.
        """
        return self._open().find(normal_ids(ids, self.row_set))

    def get(self, ids: Ids) -> list[bytes | None]:
        """Look up packed rows.

        Parameters
        ----------
        ids : ndarray of int64 or list of str, length n

        Returns
        -------
        list of bytes or None, length n
        """
        return self._open().get(normal_ids(ids, self.row_set))

    def close(self) -> None:
        """Let go of the file; a call that is still running keeps it until it ends."""
        self._native = None

    def _open(self) -> _core.RowStore:
        if self._native is None:
            raise InvalidInputError(f"the row store of '{self.row_set.name}' is closed; open it again")
        return self._native
