"""Conditions on item columns: written with `col`, or as JSON for services and files."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.ids import quoted

Value: TypeAlias = "bool | int | float | str"

# Bounds what one request can cost; a person's condition has a handful of parts.
MAX_PARTS = 256
MAX_DEPTH = 32
MAX_VALUES = 100_000
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


class Predicate(ABC):
    """A condition that an item meets or not; `&`, `|` and `~` combine them.

    A comparison with a missing value (null, or NaN) is neither met nor not met, as in SQL: neither ``col("price") < 5``
    nor its negation lets an item without a price through; ``col("price").is_null()`` does.
    """

    def __and__(self, other: Predicate) -> Predicate:
        return And((self, _predicate(other)))

    def __or__(self, other: Predicate) -> Predicate:
        return Or((self, _predicate(other)))

    def __invert__(self) -> Predicate:
        return Not(self)

    def __bool__(self) -> bool:
        raise InvalidInputError(
            "a condition has no truth value of its own; combine conditions with & | ~ and put each in parentheses, "
            "and write a < x < b as col(...).between(a, b)"
        )

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The condition as plain JSON, which `predicate_from_json` reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Predicate):
    """``column <op> value``; `op` is eq, ne, lt, le, gt or ge."""

    column: str
    op: str
    value: Value

    def __post_init__(self) -> None:
        _check_value(self.column, self.value)

    def to_json(self) -> dict[str, Any]:
        return {"col": self.column, self.op: self.value}


@dataclass(frozen=True, slots=True, eq=False)
class Between(Predicate):
    """``low <= column <= high``."""

    column: str
    low: Value
    high: Value

    def __post_init__(self) -> None:
        _check_value(self.column, self.low)
        _check_value(self.column, self.high)

    def to_json(self) -> dict[str, Any]:
        return {"col": self.column, "between": [self.low, self.high]}


@dataclass(frozen=True, slots=True, eq=False)
class IsIn(Predicate):
    """The column has one of the values."""

    column: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.values) > MAX_VALUES:
            raise InvalidInputError(
                f"column '{self.column}': {len(self.values)} values are too many for one set; at most {MAX_VALUES}"
            )
        for value in self.values:
            _check_value(self.column, value)

    def to_json(self) -> dict[str, Any]:
        return {"col": self.column, "in": list(self.values)}


@dataclass(frozen=True, slots=True, eq=False)
class IsNull(Predicate):
    """The column has no value (null, or NaN)."""

    column: str

    def to_json(self) -> dict[str, Any]:
        return {"col": self.column, "null": True}


@dataclass(frozen=True, slots=True, eq=False)
class And(Predicate):
    """All parts are met; of none: true."""

    parts: tuple[Predicate, ...]
    NAME: ClassVar[str] = "and"

    def to_json(self) -> dict[str, Any]:
        return {self.NAME: [part.to_json() for part in self.parts]}


@dataclass(frozen=True, slots=True, eq=False)
class Or(Predicate):
    """At least one part is met; of none: false."""

    parts: tuple[Predicate, ...]
    NAME: ClassVar[str] = "or"

    def to_json(self) -> dict[str, Any]:
        return {self.NAME: [part.to_json() for part in self.parts]}


@dataclass(frozen=True, slots=True, eq=False)
class Not(Predicate):
    """The part is not met."""

    part: Predicate
    NAME: ClassVar[str] = "not"

    def to_json(self) -> dict[str, Any]:
        return {self.NAME: self.part.to_json()}


class col:  # noqa: N801 -- reads as a word in a condition
    """A column of the items, to be compared.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> ((col("price") < 10) & col("country").isin(["FR", "DE"])).to_json()
    {'and': [{'col': 'price', 'lt': 10}, {'col': 'country', 'in': ['FR', 'DE']}]}
    """

    __hash__ = None  # type: ignore[assignment]  # == makes a condition

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"a column's name must be a non-empty string, got {quoted(name)}")
        self._name = name

    def __eq__(self, value: Value) -> Predicate:  # type: ignore[override]
        return Compare(self._name, "eq", _plain(value))

    def __ne__(self, value: Value) -> Predicate:  # type: ignore[override]
        return Compare(self._name, "ne", _plain(value))

    def __lt__(self, value: Value) -> Predicate:
        return Compare(self._name, "lt", _plain(value))

    def __le__(self, value: Value) -> Predicate:
        return Compare(self._name, "le", _plain(value))

    def __gt__(self, value: Value) -> Predicate:
        return Compare(self._name, "gt", _plain(value))

    def __ge__(self, value: Value) -> Predicate:
        return Compare(self._name, "ge", _plain(value))

    def between(self, low: Value, high: Value) -> Predicate:
        """Both ends included."""
        return Between(self._name, _plain(low), _plain(high))

    def isin(self, values: Iterable[Value]) -> Predicate:
        """One of the values."""
        return IsIn(self._name, tuple(map(_plain, values)))

    def is_null(self) -> Predicate:
        """There is no value (null, or NaN)."""
        return IsNull(self._name)


def predicate_from_json(data: str | Mapping[str, Any], name: str = "filter") -> Predicate:
    """Read a condition.

    Parameters
    ----------
    data : str or mapping
        JSON text, or what it holds: ``{"col": name, op: value}`` with eq, ne, lt, le, gt or ge;
        ``{"col": name, "in": [...]}``, ``{"col": name, "between": [low, high]}``, ``{"col": name, "null": true}``;
        ``{"and": [...]}``, ``{"or": [...]}``, ``{"not": ...}``.
    name : str, default "filter"
        What errors call the condition.

    Raises
    ------
    InvalidInputError
        If it is not JSON, an object has a key twice, or it has another shape; it says where. Also above
        256 parts, 32 levels or 100,000 values.
    """
    try:
        if isinstance(data, str):
            data = json.loads(data, object_pairs_hook=without_duplicates)
        return _Reader().read(data, name, 0)
    except InvalidInputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name} is not valid JSON ({error})") from error


def json_of(condition: Predicate, name: str = "filter") -> str:
    """The text that `predicate_from_json` reads.

    Raises
    ------
    InvalidInputError
        If it is nested so deep that it has none.
    """
    try:
        return json.dumps(condition.to_json())
    except RecursionError as error:
        raise InvalidInputError(f"{name} is nested too deep") from error


class _Reader:
    """Counts the parts while it reads them."""

    def __init__(self) -> None:
        self._parts = 0

    def read(self, data: Any, where: str, depth: int) -> Predicate:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidInputError(f"{where}: more than {MAX_PARTS} conditions; use 'in' for many values")
        if depth > MAX_DEPTH:
            raise InvalidInputError(f"{where}: nested more than {MAX_DEPTH} deep")
        if not isinstance(data, Mapping):
            raise InvalidInputError(
                f"{where} must be an object such as {{'col': 'price', 'lt': 10}}, got {quoted(data)}"
            )
        if "col" in data:
            return self._leaf(data, where)
        if len(data) != 1 or next(iter(data)) not in ("and", "or", "not"):
            raise InvalidInputError(f"{where} must have 'col' or one of 'and', 'or', 'not', got {_names(data)}")
        name, inner = next(iter(data.items()))
        if name == "not":
            return Not(self.read(inner, f"{where}.not", depth + 1))
        if not isinstance(inner, list):
            raise InvalidInputError(f"{where}.{name} must be a list of conditions, got {quoted(inner)}")
        parts = tuple(self.read(part, f"{where}.{name}[{i}]", depth + 1) for i, part in enumerate(inner))
        return And(parts) if name == "and" else Or(parts)

    def _leaf(self, data: Mapping[str, Any], where: str) -> Predicate:
        column = data["col"]
        if not isinstance(column, str) or not column:
            raise InvalidInputError(f"{where}.col must be a column's name, got {quoted(column)}")
        ops = [name for name in data if name != "col"]
        if len(ops) != 1 or ops[0] not in (*_COMPARISONS, "in", "between", "null"):
            known = ", ".join((*_COMPARISONS, "in", "between", "null"))
            raise InvalidInputError(
                f"{where} must compare '{column[:100]}' by exactly one of {known}, got {_names(ops)}"
            )
        op, value = ops[0], data[ops[0]]
        if op == "null":
            if not isinstance(value, bool):
                raise InvalidInputError(f"{where}.null must be true or false, got {quoted(value)}")
            return IsNull(column) if value else Not(IsNull(column))
        if op not in _COMPARISONS and (not isinstance(value, list) or (op == "between" and len(value) != 2)):
            wanted = "a list of values" if op == "in" else "[low, high]"
            raise InvalidInputError(f"{where}.{op} must be {wanted}, got {quoted(value)}")
        try:
            if op in _COMPARISONS:
                return Compare(column, op, value)
            return IsIn(column, tuple(value)) if op == "in" else Between(column, value[0], value[1])
        except InvalidInputError as error:
            raise InvalidInputError(f"{where}: {error}") from error


def without_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for `json.loads`; of a key that is there twice Python would keep one, and half of what was meant.

    Raises
    ------
    ValueError
        Naming the key.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {quoted(name)} is there twice in one object")
        found[name] = value
    return found


def _names(keys: Iterable[Any]) -> str:
    """Some of them, as errors list them."""
    listed = [quoted(key) for key in keys]
    return f"[{', '.join(listed[:5])}{', ...' if len(listed) > 5 else ''}]"


def _predicate(value: Any) -> Predicate:
    if not isinstance(value, Predicate):
        raise InvalidInputError(
            f"conditions combine with conditions, got {quoted(value)}; put each comparison in parentheses: "
            "(a < 1) & (b > 2)"
        )
    return value


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's own, which JSON can hold."""
    return value.item() if isinstance(value, np.generic) else value


def _check_value(column: str, value: Any) -> None:
    if not isinstance(value, (bool, int, float, str)):
        raise InvalidInputError(
            f"column '{column}' is compared with {quoted(value)}; a value is a number, a string, true or false"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputError(f"column '{column}' is compared with {value}; leave that bound out")
