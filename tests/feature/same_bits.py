"""Whether two Arrow tables hold the same bits: types, nulls, NaNs and signs of zero."""

import pyarrow as pa


def plain_type(kind):
    """The type with the items of lists named alike, nullable, and large strings and lists as plain ones."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("item", plain_type(kind.value_type)))
    return pa.string() if pa.types.is_large_string(kind) else kind


def bits(array):
    """The values as Python has them, floats as the integers of their bits."""
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = bits(array.flatten())
        lengths = array.value_lengths().to_pylist()
        result, at = [], 0
        for length in lengths:
            result.append(None if length is None else inner[at : at + length])
            at += length or 0
        return result
    if pa.types.is_floating(kind):
        whole = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[kind.bit_width]
        return array.view(whole).to_pylist()
    return array.to_pylist()


def require_same(found, expected):
    """Raises AssertionError naming the first column that differs."""
    assert list(found.schema.names) == list(expected.schema.names)
    for name in expected.schema.names:
        left, right = found.column(name), expected.column(name)
        assert plain_type(left.type) == plain_type(right.type), name
        assert bits(left) == bits(right), name
