"""Vocabularies: counting the strings of columns, and finding their ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast._core import StringValues
from friesian_fast.errors import InvalidInputError

__all__ = ["StringValues", "VocabularyBuilder", "VocabularyIndex", "merge_runs"]


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

    def run(self) -> tuple[StringValues, NDArray[np.int64]]:
        """All that was counted, by rising UTF-8 bytes, for `merge_runs`.

        Returns
        -------
        values : StringValues, length m
        counts : ndarray of int64, shape (m,)
        """
        return self._builder.run()


def merge_runs(runs: Sequence[tuple[object, NDArray[np.int64]]], freq_limit: int = 1) -> StringValues:
    """Add up what several builders counted, in the order of `VocabularyBuilder.finish`.

    Reads each run once, front to back, so that mapped files need not fit in memory; besides the result it holds 16
    bytes for each string that stays.

    Parameters
    ----------
    runs : sequence of (column of strings, ndarray of int64)
        As `VocabularyBuilder.run` gives them: distinct strings by rising bytes, in one chunk, and their counts.
    freq_limit : int, default 1
        The fewest occurrences, over all runs, of a string that stays.

    Raises
    ------
    TypeError
        If a run is not strings and int64 counts.
    InvalidInputError
        If a run is not in order, or has not as many counts as strings; if `freq_limit` is below 1.

    Examples
    --------
    >>> first, second = VocabularyBuilder(), VocabularyBuilder()
    >>> first.add(np.array(["b", "a"]))
    >>> second.add(np.array(["b", "c"]))
    >>> merge_runs([first.run(), second.run()]).to_list()
    ['b', 'a', 'c']
    """
    try:
        return _core.merge_runs(list(runs), freq_limit)
    except ValueError as error:
        raise InvalidInputError(str(error)) from error


class VocabularyIndex:
    """Finds the ids of strings: ``values[i]`` has id ``i + 1``, and 0 is unknown.

    Never changes, so any number of threads may use one. Arrow values in one chunk are read where they are, so that
    processes which map the same file share its pages.

    Parameters
    ----------
    values : column of strings, shape (m,)
        In id order, distinct, without nulls.
    slots : ndarray of uint64, optional
        The `slots` of an earlier index of the same values: saves building them, and is not copied either. Of other
        values they would make strings unknown.

    Raises
    ------
    TypeError
        If `values` is not a column of strings.
    InvalidInputError
        If a value is null or there twice, or there are not as many slots as so many values need.

    Examples
    --------
    >>> index = VocabularyIndex(np.array(["x", "y"]))
    >>> index.lookup(np.array(["y", "z", "x"]))
    array([2, 0, 1], dtype=int32)
    >>> index.lookup_split_min(np.array(["z,y,x", "z"]), ",")
    array([1, 0], dtype=int32)
    """

    def __init__(self, values: object, slots: NDArray[np.uint64] | None = None) -> None:
        try:
            self._index = _core.VocabularyIndex(values, slots)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error

    @property
    def slots(self) -> NDArray[np.uint64]:
        """The table behind the look-ups, read-only, for an index of the same values in another process."""
        return self._index.slots

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
