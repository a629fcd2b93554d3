"""One comparison of one item column, as a bitmap: the literal is brought to the column's type, the core scans."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.ids import quoted
from friesian_fast.recall.predicates import Between, Compare, IsIn, Predicate, Value

if TYPE_CHECKING:
    from friesian_fast.recall.columns import ItemColumn


def bitmap(column: ItemColumn, predicate: Predicate) -> NDArray[np.uint64]:
    """The rows whose value meets a comparison; those without a value are undefined, the caller masks them.

    Raises
    ------
    InvalidInputError
        If the column is compared with a value of another kind.
    """
    if isinstance(predicate, IsIn):
        return _one_of(column, predicate.values)
    if isinstance(predicate, Between):
        low, _ = _bounds(column, "ge", predicate.low)
        _, high = _bounds(column, "le", predicate.high)
        return _range(column, low, high)
    if not isinstance(predicate, Compare):
        raise InvalidInputError(
            f"{quoted(predicate)} is no condition that can be compiled; make conditions with col(...)"
        )
    if predicate.op == "ne":
        return ~_range(column, *_bounds(column, "eq", predicate.value))
    return _range(column, *_bounds(column, predicate.op, predicate.value))


def _range(column: ItemColumn, low: Any, high: Any) -> NDArray[np.uint64]:
    # An empty range such as (5, 4) is one that no value is in.
    return _core.filter_range(column.values, low, high)


def _bounds(column: ItemColumn, op: str, value: Value) -> tuple[Any, Any]:
    """The least and the largest stored value that meet ``column <op> value``."""
    _check_kind(column, value)
    if column.type == "string":
        return _code_bounds(column, op, str(value))
    if column.type == "bool":
        if op != "eq":
            raise InvalidInputError(f"column '{column.name}' is bool and can only be compared with == and !=")
        return int(value), int(value)
    if column.type.startswith("int"):
        return _integer_bounds(column, op, value)
    return _float_bounds(column, op, value)


def _code_bounds(column: ItemColumn, op: str, text: str) -> tuple[int, int]:
    """The dictionary rises, so that a range of strings is one of codes."""
    dictionary = column.dictionary or ()
    before, through = bisect.bisect_left(dictionary, text), bisect.bisect_right(dictionary, text)
    low = {"eq": before, "ge": before, "gt": through}.get(op, 0)
    high = {"eq": through, "lt": before, "le": through}.get(op, len(dictionary)) - 1
    return low, high


def _integer_bounds(column: ItemColumn, op: str, value: Any) -> tuple[int, int]:
    info = np.iinfo(column.values.dtype)
    up, down = math.ceil(value), math.floor(value)
    low = {"eq": up, "ge": up, "gt": down + 1}.get(op, info.min)
    high = {"eq": down, "le": down, "lt": up - 1}.get(op, info.max)
    if low > info.max or high < info.min:
        return 1, 0
    return max(low, info.min), min(high, info.max)


def _float_bounds(column: ItemColumn, op: str, value: Any) -> tuple[Any, Any]:
    kind = column.values.dtype.type
    near = _float(column, value)
    low = {"eq": near, "ge": near, "gt": np.nextafter(near, kind(np.inf))}.get(op, kind(-np.inf))
    high = {"eq": near, "le": near, "lt": np.nextafter(near, kind(-np.inf))}.get(op, kind(np.inf))
    return float(low), float(high)


def _float(column: ItemColumn, value: Any) -> Any:
    """The literal as the column would hold it: 0.1 equals a stored float32 of 0.1."""
    try:
        with np.errstate(over="ignore"):
            return column.values.dtype.type(value)
    except OverflowError as error:
        raise InvalidInputError(f"column '{column.name}' is compared with {value}, which no float can hold") from error


def _one_of(column: ItemColumn, values: Iterable[Value]) -> NDArray[np.uint64]:
    wanted: set[Any] = set()
    for value in values:
        _check_kind(column, value)
        low, high = _bounds(column, "eq", value)
        if low <= high:
            wanted.add(low)
    return _core.filter_set(column.values, np.array(sorted(wanted), column.values.dtype))


def _check_kind(column: ItemColumn, value: Value) -> None:
    if column.type == "string":
        fits = isinstance(value, str)
    elif column.type == "bool":
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fits:
        raise InvalidInputError(f"column '{column.name}' is {column.type} and cannot be compared with {quoted(value)}")
