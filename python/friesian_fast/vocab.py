"""Vocabularies: counting the strings of columns, and finding their ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast._core import StringValues
from friesian_fast.errors import InvalidInputError

__all__ = ["StringValues", "VocabularyBuilder", "VocabularyIndex"]


class VocabularyBuilder:
    """Counts the distinct strings of columns, in as many parts as there are.

    Safe to share between threads; they take turns.

    Parameters
    ----------
    separator : str, optional
        Literal text at which every string is cut first, each piece counting for itself. As in Java,
        trailing empty pieces are dropped, other empty pieces count, and an empty string is one empty piece.

    Examples
    --------
    >>> builder = VocabularyBuilder(separator=",")
    >>> builder.add(np.array(["b,a", "a", "c"]))
    >>> values, counts = builder.finish()
    >>> values.to_list(), counts
    (['a', 'b', 'c'], array([2, 1, 1]))
    """

    def __init__(self, separator: str | None = None) -> None:
        try:
            self._builder = _core.VocabularyBuilder(separator)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error

    def __len__(self) -> int:
        """The number of distinct strings so far."""
        return len(self._builder)

    def add(self, strings: object) -> None:
        """Count a column of strings; nulls are ignored.

        Parameters
        ----------
        strings : column of strings, shape (n,)
            An Arrow column (``__arrow_c_array__`` or ``__arrow_c_stream__``) or a NumPy text array.

        Raises
        ------
        TypeError
            If `strings` is not a column of strings.
        """
        try:
            self._builder.add(strings)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error

    def merge(self, values: object, counts: NDArray[np.int64]) -> None:
        """Add what another builder counted.

        Parameters
        ----------
        values : column of strings, shape (n,)
            As `finish` returns them; not cut at the separator again. Nulls are ignored.
        counts : ndarray of int64, shape (n,)
            At least 1 each.

        Raises
        ------
        TypeError
            If `values` is not a column of strings, or `counts` not an int64 array.
        InvalidInputError
            If the lengths differ, or a count is below 1.
        """
        if not isinstance(counts, np.ndarray) or counts.dtype != np.int64:
            raise TypeError(
                f"counts must be an ndarray of int64, got {getattr(counts, 'dtype', type(counts).__name__)}"
            )
        try:
            self._builder.merge(values, np.ascontiguousarray(counts))
        except ValueError as error:
            raise InvalidInputError(str(error)) from error

    def finish(self, freq_limit: int = 1) -> tuple[StringValues, NDArray[np.int64]]:
        """The strings counted at least `freq_limit` times, and their counts.

        The order is fixed: by falling count, then by rising UTF-8 bytes. The builder may go on counting.

        Parameters
        ----------
        freq_limit : int, default 1

        Returns
        -------
        values : StringValues, length m
            Exports ``__arrow_c_array__``: ``pyarrow.array(values)`` is a string array. ``values.to_list()`` is a
            list of str.
        counts : ndarray of int64, shape (m,)

        Raises
        ------
        InvalidInputError
            If `freq_limit` is below 1.
        """
        try:
            return self._builder.finish(freq_limit)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error


class VocabularyIndex:
    """Finds the ids of strings: ``values[i]`` has id ``i + 1``, and 0 is unknown.

    Never changes, so any number of threads may use one.

    Parameters
    ----------
    values : column of strings, shape (m,)
        In id order, distinct, without nulls.

    Raises
    ------
    TypeError
        If `values` is not a column of strings.
    InvalidInputError
        If a value is null or there twice.

    Examples
    --------
    >>> index = VocabularyIndex(np.array(["x", "y"]))
    >>> index.lookup(np.array(["y", "z", "x"]))
    array([2, 0, 1], dtype=int32)
    >>> index.lookup_split_min(np.array(["z,y,x", "z"]), ",")
    array([1, 0], dtype=int32)
    """

    def __init__(self, values: object) -> None:
        try:
            self._index = _core.VocabularyIndex(values)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error

    def __len__(self) -> int:
        """The number of known strings."""
        return len(self._index)

    def lookup(self, strings: object) -> NDArray[np.int32]:
        """The id of each string.

        Parameters
        ----------
        strings : column of strings, shape (n,)

        Returns
        -------
        ndarray of int32, shape (n,)
            0 for an unknown string and for a null.

        Raises
        ------
        TypeError
            If `strings` is not a column of strings.
        """
        try:
            return self._index.lookup(strings)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error

    def lookup_split_min(self, strings: object, separator: str) -> NDArray[np.int32]:
        """The smallest id among the pieces of each string, which is the most frequent piece's.

        Parameters
        ----------
        strings : column of strings, shape (n,)
        separator : str
            Literal text at which the strings are cut, by the rule of `VocabularyBuilder`.

        Returns
        -------
        ndarray of int32, shape (n,)
            0 where no piece is known, and for a null.

        Raises
        ------
        TypeError
            If `strings` is not a column of strings.
        InvalidInputError
            If `separator` is empty.
        """
        try:
            return self._index.lookup_split_min(strings, separator)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error
