"""The packed row, slowly: one struct call per value, straight from the table in decision 0001."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from friesian_fast.spec import Column, RowSet

A = 0x9E3779B97F4A7C15
LETTER = {"int32": "i", "int64": "q", "float32": "f", "float64": "d"}


def size_of(column: Column) -> int:
    """Bytes of one element."""
    return struct.calcsize(LETTER[column.type])


def fixed_order(row_set: RowSet) -> list[Column]:
    """Scalars and fixed columns as they stand in a row: those of 8-byte elements first."""
    plain = [column for column in row_set.columns if column.kind != "list"]
    return [c for c in plain if size_of(c) == 8] + [c for c in plain if size_of(c) == 4]


def elements(column: Column, value: Any) -> list[Any]:
    """A value as the list of what is stored."""
    if value is None:
        return [] if column.kind == "list" else [0] * column.length
    return [value] if column.kind == "scalar" else list(value)


def encode(row_set: RowSet, tag: bytes, row: Mapping[str, Any]) -> bytes:
    """Pack one row; None is null."""
    validity = 0
    for i, column in enumerate(row_set.columns):
        validity |= (row[column.name] is not None) << i
    lists = [column for column in row_set.columns if column.kind == "list"]
    out = tag + bytes([3, 0, 0, 0]) + b"\0\0\0\0" + validity.to_bytes((len(row_set.columns) + 7) // 8, "little")
    out += b"\0" * (-len(out) % 4)
    for column in lists:
        out += struct.pack("<I", len(elements(column, row[column.name])))
    out += b"\0" * (-len(out) % 8)
    for column in fixed_order(row_set):
        out += struct.pack(f"<{column.length}{LETTER[column.type]}", *elements(column, row[column.name]))
    for column in lists:
        out += b"\0" * (-len(out) % size_of(column))
        values = elements(column, row[column.name])
        out += struct.pack(f"<{len(values)}{LETTER[column.type]}", *values)
    out += b"\0" * (-len(out) % 8)
    return sealed(out[:12] + struct.pack("<I", len(out)) + out[16:])


def sealed(row: bytes) -> bytes:
    """The row with the checksum that its other bytes ask for."""
    row = row[:9] + bytes(3) + row[12:]
    return row[:9] + checksum(row) + row[12:]


def checksum(row: bytes) -> bytes:
    """24 bits of what follows the header: products of the halves of each word, summed over stripes of 64 words."""
    words = struct.unpack_from(f"<{len(row) // 8 - 2}Q", row, 16)
    state = 0
    for first in range(0, len(words), 64):
        for word, (low, high) in zip(words[first : first + 64], KEYS, strict=False):
            state += ((word % 2**32 + low) % 2**32) * ((word // 2**32 + high) % 2**32)
        state = state * A % 2**64
    return (state >> 40).to_bytes(3, "little")


def split_mix(n: int) -> int:
    """The n-th number, from 0 on, of SplitMix64 that begins at 0."""
    x = (n + 1) * A % 2**64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


KEYS = [(split_mix(i) % 2**32, split_mix(i) // 2**32) for i in range(64)]


def decode(row_set: RowSet, data: bytes | None) -> dict[str, Any]:
    """Unpack one sound row: nulls and missing rows are 0, lists are filled up with 0."""
    row: dict[str, Any] = {}
    lists = [column for column in row_set.columns if column.kind == "list"]
    if data:
        at = 16 + (len(row_set.columns) + 7) // 8
        at += -at % 4
        counts = struct.unpack_from(f"<{len(lists)}I", data, at)
        at += 4 * len(lists)
        at += -at % 8
        for column in fixed_order(row_set):
            row[column.name] = struct.unpack_from(f"<{column.length}{LETTER[column.type]}", data, at)
            at += column.length * size_of(column)
        for column, count in zip(lists, counts, strict=True):
            at += -at % size_of(column)
            row[column.name] = struct.unpack_from(f"<{count}{LETTER[column.type]}", data, at)
            at += count * size_of(column)
    return {column.name: _shaped(column, row.get(column.name, ())) for column in row_set.columns}


def _shaped(column: Column, values: Sequence[Any]) -> Any:
    filled = [*values, *[0] * (column.length - len(values))]
    return filled[0] if column.kind == "scalar" else filled
