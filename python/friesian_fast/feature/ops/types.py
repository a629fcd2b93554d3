"""Arrow types from the texts that recorded operations keep."""

from __future__ import annotations

import re
from typing import Any

from friesian_fast.errors import InvalidInputError


def type_of(text: str) -> Any:
    """The Arrow type whose ``str`` this is: a plain one, a decimal, a timestamp of a zone, or a list of such.

    Raises
    ------
    InvalidInputError
        If it is any other.
    """
    import pyarrow as pa

    if found := re.fullmatch(r"(large_)?list<(\w+): (.*?)( not null)?>", text):
        large, name, inner, required = found.groups()
        field = pa.field(name, type_of(inner), nullable=required is None)
        return pa.large_list(field) if large else pa.list_(field)
    if found := re.fullmatch(r"decimal128\((\d+), (-?\d+)\)", text):
        return pa.decimal128(int(found[1]), int(found[2]))
    if found := re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=(.+)\]", text):
        return pa.timestamp(found[1], found[2])
    try:
        return pa.type_for_alias(text)
    except ValueError as error:
        raise InvalidInputError(f"a column of type {text} cannot be filled in; drop it, or add it yourself") from error
