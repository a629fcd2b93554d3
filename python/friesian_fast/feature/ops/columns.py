"""Which columns there are: select, drop, rename, a constant column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.feature.ops.base import Op, Shape, column, put
from friesian_fast.feature.ops.types import type_of


@dataclass(frozen=True, slots=True)
class Select(Shape):
    """Keep these columns, in this order."""

    columns: tuple[str, ...]
    name = "select"

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.columns

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Select:
        return cls(tuple(inputs))

    def apply(self, batch: Any) -> Any:
        for name in self.columns:
            column(batch, name)
        return batch.select(list(self.columns))


@dataclass(frozen=True, slots=True)
class Drop(Shape):
    """Drop these columns; names that are not there are ignored."""

    columns: tuple[str, ...]
    name = "drop"

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return ()

    @property
    def params(self) -> dict[str, Any]:
        return {"columns": list(self.columns)}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Drop:
        return cls(tuple(params["columns"]))

    def apply(self, batch: Any) -> Any:
        return batch.select([name for name in batch.schema.names if name not in self.columns])


@dataclass(frozen=True, slots=True)
class Rename(Op):
    """Give one column another name, where it stands; a dropped column of that name may still be in the batch."""

    old: str
    new: str
    name = "rename"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.old,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.new,)

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Rename:
        return cls(inputs[0], outputs[0])

    def apply(self, batch: Any) -> Any:
        column(batch, self.old)
        kept = batch.select([name for name in batch.schema.names if name != self.new])
        return kept.rename_columns([self.new if name == self.old else name for name in kept.schema.names])


@dataclass(frozen=True, slots=True)
class Constant(Op):
    """A column with the same value in every row."""

    column: str
    value: Any
    type: str
    name = "constant"

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        return {"value": self.value, "type": self.type}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Constant:
        return cls(outputs[0], params["value"], params["type"])

    def apply(self, batch: Any) -> Any:
        import pyarrow as pa

        return put(batch, {self.column: pa.repeat(pa.scalar(self.value, type_of(self.type)), batch.num_rows)})
