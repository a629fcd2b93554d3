"""What has been recorded on a source, and the least that must be read and run for some of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops import Draw, Op, Select, Shape, from_json, to_json
from friesian_fast.feature.scan import FileSource, Piece, plain_batch, read_split


@dataclass(frozen=True, slots=True)
class FrameSource:
    """A Spark DataFrame; `schema` is its schema in Arrow's terms, `origin` how it came about, if a table made it."""

    frame: Any
    schema: Any
    origin: Origin | None = field(default=None, compare=False)


Source = FileSource | FrameSource


@dataclass(frozen=True, slots=True)
class Part:
    """A source and the operations recorded on it; a table is one or more of them, one after the other."""

    source: Source
    ops: tuple[Op, ...] = ()

    def then(self, *ops: Op) -> Part:
        """With these operations after the others."""
        return Part(self.source, (*self.ops, *ops))

    def schema(self) -> Any:
        """The pyarrow schema after all operations, found by running them on no rows."""
        return run(self.ops, empty_batch(self.source.schema)).schema


@dataclass(frozen=True, slots=True)
class Origin:
    """The step that made a DataFrame, or files, of a table: its name, the table's parts, whether it left every column
    as it was, only picking, ordering, spreading or repeating rows, and the parts of another table that it used."""

    step: str
    parts: tuple[Part, ...]
    keeps_columns: bool
    others: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """What a task does with each batch: read `columns`, run `ops`, keep `outputs`."""

    columns: tuple[str, ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As sent to the tasks."""
        return {"columns": list(self.columns), "ops": [to_json(op) for op in self.ops], "outputs": list(self.outputs)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Stage:
        """What `to_json` gave."""
        return cls(tuple(data["columns"]), tuple(from_json(op) for op in data["ops"]), tuple(data["outputs"]))

    def __call__(self, batch: Any) -> Any:
        return run(self.ops, plain_batch(batch)).select(list(self.outputs))

    def stream(self, batch: Any) -> Iterator[Any]:
        """The same in pieces of bounded size, for operations that make many values or rows of one."""
        for made in _streamed(self.ops, plain_batch(batch)):
            yield made.select(list(self.outputs))


def staged(stage: Stage, pieces: Sequence[Piece]) -> Iterator[Any]:
    """The batches of a split after the stage; what the stage refuses is named with its file."""
    for piece in pieces:
        for batch in read_split([piece], stage.columns):
            try:
                yield from stage.stream(batch)
            except InvalidInputError as error:
                raise InvalidInputError(f"{piece[0]}: {error}") from error


def stage_for(part: Part, outputs: Sequence[str]) -> Stage:
    """The shortest stage that makes these columns of a part: operations and columns nobody needs are left out.

    Operations that change which rows there are stay.
    """
    kept, needed = needed_for(part.ops, outputs)
    columns = tuple(name for name in part.source.schema.names if name in needed)
    columns = columns or tuple(part.source.schema.names[:1])  # constants only: some column tells how many rows
    return Stage(columns, kept, tuple(outputs))


def needed_for(ops: Sequence[Op], outputs: Sequence[str]) -> tuple[tuple[Op, ...], set[str]]:
    """Of the operations those without which these columns cannot be made, and the columns they all begin with."""
    needed = set(outputs)
    kept: list[Op] = []
    for op in reversed(ops):
        if isinstance(op, Shape) or (op.keeps_rows and not needed.intersection(op.outputs)):
            continue
        needed = (needed - set(op.outputs)) | set(op.inputs)
        kept.append(op)
    return tuple(reversed(kept)), needed


def recorded(parts: Sequence[Part]) -> tuple[Op, ...]:
    """All operations from the first source to the columns of these parts, those before steps of Spark's included.

    Draws of rows are not among them: they leave columns as they are.

    Raises
    ------
    InvalidInputError
        If a step of Spark's changed columns after operations were recorded, or the parts' operations differ.
    """
    found = [(*_before(part.source), *(op for op in part.ops if not isinstance(op, Draw))) for part in parts]
    steps = [[op.transform() for op in ops] for ops in found]
    if any(other != steps[0] for other in steps[1:]):
        raise InvalidInputError("the table joins tables with different operations; ask each of them for its own")
    return found[0]


def _before(source: Source) -> tuple[Op, ...]:
    if source.origin is None:
        return ()
    before = recorded(source.origin.parts)
    if before and not source.origin.keeps_columns:
        raise InvalidInputError(
            f"'{source.origin.step}' changed columns after operations were recorded, so they are no longer the way "
            f"from the raw columns to these; ask the table before '{source.origin.step}'"
        )
    return before


def run(ops: Sequence[Op], batch: Any) -> Any:
    """One batch through all operations."""
    for op in ops:
        batch = op.apply(batch)
    return batch


def _streamed(ops: Sequence[Op], batch: Any) -> Iterator[Any]:
    if not ops:
        yield batch
        return
    for made in ops[0].stream(batch):
        yield from _streamed(ops[1:], made)


def empty_batch(schema: Any) -> Any:
    """A batch of that schema without rows."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def projected(part: Part, columns: Sequence[str]) -> Part:
    """The part with exactly these columns, in this order; unchanged if it has them already."""
    return part if part.schema().names == list(columns) else part.then(Select(tuple(columns)))
