"""Item columns out of Arrow arrays. Offline: needs pyarrow."""

from __future__ import annotations

from typing import Any

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.columns import ItemColumn, bitmap_of


def item_column(name: str, values: Any) -> ItemColumn:
    """One column, its numbers in one of four types, its strings as places in a sorted dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if not isinstance(array, pa.Array):
        raise InvalidInputError(f"item column '{name}' must be an Arrow array, got {type(values).__name__}")
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    array = array.cast(kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _string_column(name, array)
    if pa.types.is_floating(kind):
        array = pc.if_else(pc.is_nan(array), None, array)
    wanted = _number_type(name, kind)
    try:
        array = array.cast(getattr(pa, "int32" if wanted == "bool" else wanted)())
    except pa.ArrowInvalid as error:
        raise InvalidInputError(f"item column '{name}' does not fit {wanted}: {error}") from error
    return ItemColumn(name=name, type=wanted, values=_filled(array, 0), valid=_valid(array))


def _number_type(name: str, kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int32" if kind.bit_width <= 16 or kind == pa.int32() else "int64"
    if pa.types.is_floating(kind):
        return "float64" if kind == pa.float64() else "float32"
    raise InvalidInputError(
        f"item column '{name}' has Arrow type {kind}; filters compare numbers, booleans and strings: cast it first "
        "(a timestamp to int64)"
    )


def _string_column(name: str, array: Any) -> ItemColumn:
    encoded = array.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    # By code point, as Python compares strings, so that a range of strings is one of places.
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place = np.zeros(max(len(texts), 1), np.int32)
    place[order] = np.arange(len(texts), dtype=np.int32)
    codes = np.where(_flags(array), place[_filled(encoded.indices, 0)], np.int32(0))
    return ItemColumn(
        name=name,
        type="string",
        values=codes.astype(np.int32),
        valid=_valid(array),
        dictionary=tuple(texts[i] for i in order),
    )


def _filled(array: Any, value: int) -> Any:
    return np.ascontiguousarray(array.fill_null(value).to_numpy(zero_copy_only=False))


def _flags(array: Any) -> Any:
    import pyarrow.compute as pc

    return pc.is_valid(array).to_numpy(zero_copy_only=False)


def _valid(array: Any) -> Any:
    return bitmap_of(_flags(array)) if array.null_count else None
