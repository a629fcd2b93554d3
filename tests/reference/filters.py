"""What a condition lets through, slowly: one row at a time, in three-valued logic."""

from __future__ import annotations

import operator
from typing import Any

from friesian_fast.recall.predicates import And, Between, Compare, IsIn, IsNull, Not, Or, Predicate

_OPS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def meets(predicate: Predicate, row: dict[str, Any]) -> bool | None:
    """Whether a row meets a condition; None if that depends on a value it has not."""
    if isinstance(predicate, Not):
        inner = meets(predicate.part, row)
        return None if inner is None else not inner
    if isinstance(predicate, (And, Or)):
        found = [meets(part, row) for part in predicate.parts]
        decisive = isinstance(predicate, Or)
        if decisive in found:
            return decisive
        return None if None in found else not decisive
    value = row[predicate.column]
    if isinstance(predicate, IsNull):
        return value is None
    if value is None:
        return None
    if isinstance(predicate, IsIn):
        return value in predicate.values
    if isinstance(predicate, Between):
        return predicate.low <= value <= predicate.high
    assert isinstance(predicate, Compare)
    return bool(_OPS[predicate.op](value, predicate.value))
