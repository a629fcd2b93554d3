"""What the body of a request asks for: a filter, as JSON."""

from __future__ import annotations

import json
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import Filter, without_duplicates
from friesian_fast.recommend import Ids, as_ids
from friesian_fast.spec import IdType
from friesian_services import wire

BODY_BYTES = 1 << 20

_EXAMPLE = '{"filter": {"deny": [17], "where": {"col": "price", "lt": 10}}}'


def filter_of(body: bytes, id_type: IdType) -> Filter | None:
    """The filter of a body such as ``{"filter": {"deny": [17], "where": {"col": "price", "lt": 10}}}``.

    Parameters
    ----------
    body : bytes
        ``allow``, ``deny`` and ``seen`` are lists of item ids, ``where`` is what `predicate_from_json` reads; each may
        be left out or null, and so may the filter.
    id_type : {"int64", "string"}
        Of the items.

    Raises
    ------
    InvalidInputError
        If it is anything else; it names the field.
    """
    try:
        data = json.loads(body, object_pairs_hook=without_duplicates, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"the body is not valid JSON ({error}); send for example {_EXAMPLE}") from error
    fields = _object(_object(data, "the body", ("filter",)).get("filter"), "filter", ("allow", "deny", "seen", "where"))
    if not fields:
        return None
    allow, deny, seen = (_ids(fields.get(name), f"filter.{name}", id_type) for name in ("allow", "deny", "seen"))
    return wire.bounded_filter(allow, deny, seen, _condition(fields.get("where")))


def _object(value: Any, name: str, known: tuple[str, ...]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError(f"{name} must be a JSON object; send for example {_EXAMPLE}")
    if unknown := sorted(value.keys() - set(known)):
        raise InvalidInputError(f"{name} has the unknown key {unknown[0]!r}; it may have {', '.join(known)}")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


def _ids(value: Any, name: str, id_type: IdType) -> Ids | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidInputError(f"{name} must be a list of item ids")
    wire.check_filter_ids(len(value), name)
    try:
        return as_ids(value, id_type)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error}") from error


def _condition(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidInputError('filter.where must be a JSON object such as {"col": "price", "lt": 10}')
    return wire.condition_text(value)
