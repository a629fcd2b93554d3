"""Hashing of columns into buckets, bit-exact with Python's own hashlib, or with XXH3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError

__all__ = ["cross_bucket", "md5_bucket", "xxh3_bucket"]


def md5_bucket(values: object, bins: int, *, level: str | None = None) -> NDArray[np.int32]:
    """Map each value to ``int(md5(str(value)).hexdigest(), 16) % bins``.

    The bucket depends on the value's text and `bins` only: not on the column's type, its chunks, the CPU
    or the process. Training and serving may therefore hash independently.

    Parameters
    ----------
    values : column of shape (n,)
        Strings, integers, booleans or float64: an object exporting ``__arrow_c_array__`` or
        ``__arrow_c_stream__`` (pyarrow, polars, pandas), or a C-contiguous NumPy array of those dtypes or of
        fixed-width text. Read in place. The text of a value is what ``str`` gives in Python, in UTF-8; a null
        has the text ``None``.
    bins : int
        Number of buckets, ``1 <= bins < 2**31``.
    level : {"scalar", "avx2", "avx512"}, optional
        Instruction set; the best one this CPU has by default. All give the same buckets.

    Returns
    -------
    ndarray of int32, shape (n,)
        In ``[0, bins)``; empty when `values` is empty.

    Raises
    ------
    TypeError
        If `values` is not a column, or its type is none of the above; nothing is cast silently.
    InvalidInputError
        If `values` is not one-dimensional and contiguous, or `bins` or `level` is out of range.

    Examples
    --------
    >>> md5_bucket(np.array([7, 42, 7]), 1000)
    array([555, 174, 555], dtype=int32)
    """
    _require_integer(bins)
    try:
        return _core.md5_bucket(values, bins, level=level)
    except ValueError as error:
        raise InvalidInputError(str(error)) from error


def xxh3_bucket(values: object, bins: int) -> NDArray[np.int32]:
    """Map each value to ``xxh3_64(str(value)) % bins``.

    It takes as long as `md5_bucket` on a CPU with AVX-512, half of that on one with AVX2, and a fifteenth elsewhere.

    XXH3 is Yann Collet's, 64 bits, without seed, as in the ``xxhash`` packages of other languages. For new models;
    those trained with md5 need `md5_bucket`.

    Parameters
    ----------
    values : column of shape (n,)
        As for `md5_bucket`, and with the same texts.
    bins : int
        Number of buckets, ``1 <= bins < 2**31``.

    Returns
    -------
    ndarray of int32, shape (n,)
        In ``[0, bins)``; empty when `values` is empty.

    Raises
    ------
    TypeError
        If `values` is not a column, or its type is none of those of `md5_bucket`.
    InvalidInputError
        If `values` is not one-dimensional and contiguous, or `bins` is out of range.

    Examples
    --------
    >>> xxh3_bucket(np.array([7, 42, 7]), 1000)
    array([674, 473, 674], dtype=int32)
    """
    _require_integer(bins)
    try:
        return _core.xxh3_bucket(values, bins)
    except ValueError as error:
        raise InvalidInputError(str(error)) from error


def cross_bucket(
    columns: Sequence[object], bins: int, *, separator: str = "", method: str = "md5", level: str | None = None
) -> NDArray[np.int32]:
    """Map each row of several columns to the bucket of its joined texts.

    Without a separator, which is what existing models were trained with, the rows ``("a", "bc")`` and
    ``("ab", "c")`` fall into the same bucket; a separator that does not occur in the values keeps them apart.
    The joined column is never materialised.

    Parameters
    ----------
    columns : sequence of two or more columns of shape (n,)
        Each as for `md5_bucket`. The text of a value is what Spark's cast to string gives: ``true`` for a
        boolean, ``1.0E10`` for a float64 (the digits of Java 19 and later). A row in which any column is null
        has the text ``None``.
    bins : int
        Number of buckets, ``1 <= bins < 2**31``.
    separator : str, default ""
        Put between the texts.
    method : {"md5", "xxh3"}
        The hash of the joined texts, see `md5_bucket` and `xxh3_bucket`.
    level : {"scalar", "avx2", "avx512"}, optional
        Instruction set; the best one this CPU has by default. All give the same buckets.

    Returns
    -------
    ndarray of int32, shape (n,)
        In ``[0, bins)``; empty when the columns are empty.

    Raises
    ------
    TypeError
        If a column is not one, or its type is not hashable; cast it first.
    InvalidInputError
        If there are fewer than two columns, their lengths differ, or `bins`, `method` or `level` is out of range.

    Examples
    --------
    >>> cross_bucket([np.array(["a", "ab"]), np.array(["bc", "c"])], 600)
    array([370, 370], dtype=int32)
    >>> cross_bucket([np.array(["a", "ab"]), np.array(["bc", "c"])], 600, separator="_")
    array([144,  57], dtype=int32)
    """
    _require_integer(bins)
    try:
        return _core.cross_bucket(columns, bins, separator=separator, method=method, level=level)
    except ValueError as error:
        raise InvalidInputError(str(error)) from error


def _require_integer(bins: object) -> None:
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)):
        raise TypeError(f"bins must be an integer, got {type(bins).__name__}")
