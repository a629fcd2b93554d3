"""What a recorded operation is: plain JSON in, one Arrow batch to another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar
from urllib.parse import quote

from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import Transform

_REGISTRY: dict[str, type[Op]] = {}


class Op(ABC):
    """One column-local operation. Subclasses are frozen dataclasses whose fields are plain JSON values.

    `inputs` are the columns it reads, `outputs` those it writes; `apply` sees one batch at a time and must not depend
    on which rows are in it. An operation with `keeps_rows` False may make more rows or fewer of a row, so nobody may
    leave it out because its outputs are not wanted.
    """

    name: ClassVar[str]
    keeps_rows: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            _REGISTRY[cls.name] = cls

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]: ...

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def params(self) -> dict[str, Any]:
        """What was chosen or fitted, as JSON values."""
        return {}

    @property
    def resources(self) -> dict[str, str]:
        """Files the tasks need; they are no part of what the operation means."""
        return {}

    @classmethod
    def files(cls, params: Mapping[str, Any]) -> dict[str, str]:
        """Where the `resources` of an operation of these params lie, relative to the FeatureSpec that names it."""
        return {}

    @classmethod
    @abstractmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Op: ...

    def opened(self, sha256: str) -> Op:
        """The same with its resource read, for files that may be replaced meanwhile.

        Raises
        ------
        InvalidInputError
            If what the resource says has another hash.
        """
        return self

    @abstractmethod
    def apply(self, batch: Any) -> Any:
        """A new ``pyarrow.RecordBatch`` with the outputs computed from the inputs."""

    def stream(self, batch: Any) -> Iterator[Any]:
        """The same in pieces, for operations whose result may be much larger than the batch."""
        yield self.apply(batch)

    def transform(self) -> Transform:
        """The step as the FeatureSpec keeps it."""
        return Transform(op=self.name, inputs=self.inputs, outputs=self.outputs, params=self.params)


class InPlace(Op):
    """An operation that replaces one column where it stands; the fields after `column` are its `params`."""

    column: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        _, *chosen = fields(self)  # type: ignore[arg-type]
        return {one.name: getattr(self, one.name) for one in chosen}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Op:
        make: Any = cls
        return make(inputs[0], **params)  # type: ignore[no-any-return]


class Shape(Op):
    """An operation that only picks, drops or orders columns: it is no step from raw columns to features."""


def to_json(op: Op) -> dict[str, Any]:
    """What a task needs to run the operation."""
    return {
        "op": op.name,
        "inputs": list(op.inputs),
        "outputs": list(op.outputs),
        "params": op.params,
        "resources": op.resources,
    }


def from_json(data: Mapping[str, Any]) -> Op:
    """The operation of `to_json`, or of a `Transform`'s fields."""
    return kind_of(data["op"]).create(data["inputs"], data["outputs"], data["params"], data.get("resources", {}))


def kind_of(name: str) -> type[Op]:
    """The class of the operations of that name.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    kind = _REGISTRY.get(name)
    if kind is None:
        raise InvalidInputError(f"there is no operation '{name}'; known are {', '.join(sorted(_REGISTRY))}")
    return kind


def registered() -> dict[str, type[Op]]:
    """All operations by name."""
    return dict(_REGISTRY)


def pinned_file(params: Mapping[str, Any]) -> str:
    """Where a resource lies whose content the ``sha256`` of `params` pins: a name that is never given twice."""
    return f"maps/{quote(str(params['sha256']), safe='')}.arrow"


def require_sha256(path: str, found: str, pinned: str) -> None:
    """Raise an `InvalidInputError` if a resource has not the hash that pins it."""
    if found != pinned:
        raise InvalidInputError(
            f"{path} is not the file that the spec pins: its hash is {found[:12]}, not {pinned[:12]}; "
            "copy the one that was written with the spec"
        )


def column(batch: Any, name: str) -> Any:
    """One column, as an array.

    Raises
    ------
    InvalidInputError
        If the batch has no such column.
    """
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise InvalidInputError(f"there is no column '{name}'; the table has {', '.join(batch.schema.names)}")
    return batch.column(index)


def put(batch: Any, values: Mapping[str, Any], *, last: bool = False, drop: Sequence[str] = ()) -> Any:
    """The batch with these columns: in place where they were, new ones last; with `last`, all of them last."""
    import pyarrow as pa

    gone = {*drop, *(values if last else ())}
    columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names) if name not in gone}
    columns.update(values)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def is_number(kind: Any) -> bool:
    """Whether the Arrow type is one of integers, floats or decimals."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def numeric(array: Any, name: str) -> Any:
    """The array, if it is a numeric one."""
    if not is_number(array.type):
        raise InvalidInputError(f"{name} should be a numeric column, but it has type {array.type}")
    return array
