"""The rules of a release: what may be recommended, and in which order. JSON, checked when it is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import Filter, ItemColumns, IvfIndex, Predicate, predicate_from_json
from friesian_fast.spec import IdType

FORMAT = "friesian-rules"
VERSION = 1

Id = int | str
_KEYS = ("format", "version", "hide_seen", "allow", "deny", "where", "boosts", "cap", "diversity", "pins")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boost:
    """The scores of the items that meet a condition, times a factor."""

    where: Predicate
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most so many items with one value of a column; those without a value are not counted."""

    column: str
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An item and its place in the answer, from 1."""

    id: Id
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be recommended, and in which order.

    Parameters
    ----------
    hide_seen : bool
        Leave out what the release's ``seen`` rows say a user had.
    allow, deny : tuple of ids
        Only these (None: all); none of these.
    where : Predicate or None
        Only items that meet it.
    boosts : tuple of Boost
        All that apply are multiplied.
    cap : Cap or None
    diversity : float or None
        In (0, 1]: how much of the score gives way to being unlike the items before.
    pins : tuple of Pin
    """

    hide_seen: bool = False
    allow: tuple[Id, ...] | None = None
    deny: tuple[Id, ...] = ()
    where: Predicate | None = None
    boosts: tuple[Boost, ...] = ()
    cap: Cap | None = None
    diversity: float | None = None
    pins: tuple[Pin, ...] = ()

    @property
    def filter(self) -> Filter | None:
        """The part that holds for every user and belongs into the search, if there is one."""
        if self.allow is None and not self.deny and self.where is None:
            return None
        return Filter(where=self.where, allow=self.allow, deny=self.deny or None)

    @property
    def reorders(self) -> bool:
        """Whether anything happens after ranking."""
        return bool(self.boosts or self.cap or self.diversity or self.pins)

    def check(self, index: IvfIndex) -> None:
        """Whether these rules can be applied to the items of an index.

        Raises
        ------
        InvalidInputError
            If a pinned item is not in it, or a column is not among its columns or of another kind.
        """
        if self.pins:
            places = index.positions([pin.id for pin in self.pins])
            for pin, place in zip(self.pins, places.tolist(), strict=True):
                if place >= len(index):
                    raise InvalidInputError(f"rules: the pinned item {pin.id!r} is not in the catalogue")
        if self.cap is not None or self.where is not None or self.boosts:
            if index.columns is None:
                raise InvalidInputError(
                    "rules: 'where', 'boosts' and 'cap' need item columns; publish some with 'columns'"
                )
            self._check_columns(index.columns)

    def _check_columns(self, columns: ItemColumns) -> None:
        if self.cap is not None and columns.column(self.cap.column).type.startswith("float"):
            raise InvalidInputError(
                f"rules: 'cap' counts the values of column '{self.cap.column}', which is a float; use a category"
            )
        for predicate in (self.where, *(boost.where for boost in self.boosts)):
            if predicate is not None:
                columns.compile(predicate)


def rules_from_json(text: str, id_type: IdType) -> Rules:
    """Read rules.

    Parameters
    ----------
    text : str
    id_type : {"int64", "string"}
        Of the items.

    Raises
    ------
    InvalidInputError
        If it is not JSON, of another format or version, or a key is unknown or has a value that cannot be used; it
        names the key.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"rules: not valid JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise InvalidInputError(f'rules: not an object with "format": "{FORMAT}", "version": {VERSION}')
    _check_keys("", data, _KEYS)
    allow, diversity = data.get("allow"), data.get("diversity")
    return Rules(
        hide_seen=_boolean(data.get("hide_seen", False), "hide_seen"),
        allow=None if allow is None else _ids(allow, "allow", id_type),
        deny=_ids(data.get("deny", []), "deny", id_type),
        where=None if data.get("where") is None else _condition(data["where"], "where"),
        boosts=tuple(_boost(entry, f"boosts[{i}]") for i, entry in enumerate(_list(data.get("boosts", []), "boosts"))),
        cap=None if data.get("cap") is None else _cap(data["cap"]),
        diversity=None if diversity is None else _number(diversity, "diversity", 0.0, 1.0),
        pins=_pins(_list(data.get("pins", []), "pins"), id_type),
    )


def _boost(entry: Any, where: str) -> Boost:
    _object(entry, where, ("where", "factor"))
    factor = _number(entry["factor"], f"{where}.factor", 1e-6, 1e6)
    return Boost(where=_condition(entry["where"], f"{where}.where"), factor=factor)


def _cap(entry: Any) -> Cap:
    _object(entry, "cap", ("column", "most"))
    if not isinstance(entry["column"], str):
        raise InvalidInputError(f"rules: cap.column must be a column's name, got {entry['column']!r}")
    return Cap(column=entry["column"], most=_whole(entry["most"], "cap.most"))


def _pins(entries: list[Any], id_type: IdType) -> tuple[Pin, ...]:
    pins = []
    for i, entry in enumerate(entries):
        _object(entry, f"pins[{i}]", ("id", "place"))
        (item,) = _ids([entry["id"]], f"pins[{i}].id", id_type)
        pins.append(Pin(id=item, place=_whole(entry["place"], f"pins[{i}].place")))
    for what, values in (("place", [pin.place for pin in pins]), ("id", [pin.id for pin in pins])):
        if len(set(values)) != len(values):
            raise InvalidInputError(f"rules: two pins have the same {what}; each item has one place of its own")
    return tuple(sorted(pins, key=lambda pin: pin.place))


def _condition(value: Any, where: str) -> Predicate:
    if not isinstance(value, dict):
        raise InvalidInputError(
            f"rules: {where} must be a condition such as {{'col': 'price', 'lt': 10}}, got {value!r}"
        )
    try:
        return predicate_from_json(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"rules: {where}: {error}") from error


def _object(value: Any, where: str, keys: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise InvalidInputError(f"rules: {where} must be an object with {' and '.join(keys)}, got {value!r}")
    _check_keys(f"{where}.", value, keys)
    for key in keys:
        if key not in value:
            raise InvalidInputError(f"rules: {where} lacks '{key}'")


def _check_keys(under: str, data: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in data:
        if key not in known:
            raise InvalidInputError(f"rules: unknown key '{under}{key}'; known here are {', '.join(known)}")


def _ids(value: Any, where: str, id_type: IdType) -> tuple[Id, ...]:
    for item in _list(value, where):
        if type(item) is int:
            fits = id_type == "int64" and -(2**63) <= item < 2**63
        else:
            fits = id_type == "string" and isinstance(item, str)
        if not fits:
            raise InvalidInputError(f"rules: {where} has {item!r}; the item ids of this release are of type {id_type}")
    return tuple(value)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInputError(f"rules: {where} must be a list, got {value!r}")
    return value


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(f"rules: {where} must be true or false, got {value!r}")
    return value


def _whole(value: Any, where: str) -> int:
    if type(value) is not int or value < 1:
        raise InvalidInputError(f"rules: {where} must be a whole number from 1, got {value!r}")
    return value


def _number(value: Any, where: str, above: float, most: float) -> float:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not above < value <= most:
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise InvalidInputError(f"rules: {where} must be a number above {above:g}{limit}, got {value!r}")
    return float(value)
