"""Ids to columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column
from friesian_fast.feature.ops.unfold import in_pieces


@dataclass(frozen=True, slots=True)
class OneHot(Op):
    """Column ``<prefix>_<i>`` (int32) is 1 where the id is i, else 0; they stand where the id's column stands."""

    column: str
    prefix: str
    size: int
    keep: bool = False
    name = "one_hot"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"{self.prefix}_{i}" for i in range(self.size))

    @property
    def params(self) -> dict[str, Any]:
        return {"prefix": self.prefix, "size": self.size, "keep": self.keep}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> OneHot:
        return cls(inputs[0], params["prefix"], params["size"], params["keep"])

    def apply(self, batch: Any) -> Any:
        import pyarrow as pa

        hot = dict(zip(self.outputs, self._hot(column(batch, self.column)), strict=True))
        columns: dict[str, Any] = {}
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if name == self.column:
                columns.update({name: array, **hot} if self.keep else hot)
            elif name not in hot:  # a dropped column of that name may still be there
                columns[name] = array
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def stream(self, batch: Any) -> Iterator[Any]:
        import numpy as np

        for piece in in_pieces(batch, np.full(batch.num_rows, self.size, np.int64)):
            yield self.apply(piece)

    def _hot(self, array: Any) -> list[Any]:
        import numpy as np
        import pyarrow as pa

        if array.null_count:
            raise InvalidInputError(f"column '{self.column}' has nulls, which have no one-hot code; fill them first")
        ids = array.to_numpy(zero_copy_only=False)
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.size:
            outside = ids.min() if ids.min() < 0 else ids.max()
            raise InvalidInputError(
                f"column '{self.column}' has the id {outside}, but its one-hot size is {self.size}; "
                "ids must be from 0 to below the size"
            )
        hot = np.zeros((self.size, len(ids)), np.int32)
        hot[ids, np.arange(len(ids))] = 1
        return [pa.array(one) for one in hot]
