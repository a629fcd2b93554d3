"""Categories to buckets: one column, or several crossed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.feature.ops.base import InPlace, Op, column, put
from friesian_fast.feature.ops.cast import cast_array
from friesian_fast.hashing import cross_bucket, md5_bucket, xxh3_bucket

# The hashes that the core computes.
NATIVE = ("md5", "xxh3")


@dataclass(frozen=True, slots=True)
class HashBucket(InPlace):
    """``int(hash(str(x)), 16) % bins``, int32, where the column stands; null hashes as the text ``None``."""

    column: str
    bins: int
    method: str = "md5"
    name = "hash_bucket"

    def apply(self, batch: Any) -> Any:
        return put(batch, {self.column: buckets(column(batch, self.column), self.bins, self.method)})


@dataclass(frozen=True, slots=True)
class CrossHash(Op):
    """The texts of several columns joined and hashed into a new last column; any null hashes as ``None``."""

    columns: tuple[str, ...]
    output: str
    bins: int
    method: str = "md5"
    separator: str = ""
    name = "cross_hash"

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def params(self) -> dict[str, Any]:
        return {"bins": self.bins, "method": self.method, "separator": self.separator}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> CrossHash:
        return cls(tuple(inputs), outputs[0], params["bins"], params["method"], params["separator"])

    def apply(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        arrays = [_plain(column(batch, name)) for name in self.columns]
        if self.method in NATIVE:
            made = cross_bucket(arrays, self.bins, separator=self.separator, method=self.method)
            crossed = pa.array(made, pa.int32())
        else:
            texts = [cast_array(array, "string") for array in arrays]
            joined = pc.binary_join_element_wise(*texts, self.separator)
            crossed = buckets(joined, self.bins, self.method)
        return put(batch, {self.output: crossed}, last=True)


def buckets(array: Any, bins: int, method: str) -> Any:
    """Buckets of an array, int32; md5 and xxh3 in the core, any other method of ``hashlib`` value by value."""
    import pyarrow as pa

    if method in NATIVE:
        bucket = xxh3_bucket if method == "xxh3" else md5_bucket
        return pa.array(bucket(_plain(array, python=True), bins), pa.int32())
    digests = (hashlib.new(method, str(value).encode()).hexdigest() for value in array.to_pylist())
    return pa.array([int(digest, 16) % bins for digest in digests], pa.int32())


def _plain(array: Any, *, python: bool = False) -> Any:
    """The array in a type the core hashes; other types by their text, Python's or Spark's."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return array
    if pa.types.is_large_string(kind) or pa.types.is_float64(kind):
        return array
    if python:
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    return cast_array(array, "string")
