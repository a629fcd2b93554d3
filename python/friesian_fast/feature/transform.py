"""The transforms of a FeatureSpec on Arrow batches, without Spark: what serving runs, and the files it needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from friesian_fast._files import replacing
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.feature.ops import Function, Op, Select, from_json, kind_of
from friesian_fast.feature.plan import empty_batch, needed_for
from friesian_fast.feature.scan import plain_batch
from friesian_fast.spec import FeatureSpec, Transform


class Transformer:
    """The transforms of a spec, with their files checked and read; any number of threads may call it.

    Parameters
    ----------
    spec : FeatureSpec
    outputs : tuple of str, optional
        The columns to make; by default those of a `Select` at the end, else all.
    modules : tuple of str
        Modules of whose functions the transforms may call.
    """

    def __init__(self, spec: FeatureSpec, *, outputs: tuple[str, ...] | None = None, modules: tuple[str, ...] = ()):
        steps = [_operation(spec, step) for step in spec.transforms]
        if outputs is None and steps and isinstance(steps[-1], Select):
            outputs = steps[-1].columns
        self._name, self._outputs = spec.name, outputs
        wanted = needed_for(steps, outputs)[0] if outputs is not None else tuple(steps)
        for op in wanted:
            _require_usable(op, modules)
        self._needed = _raw_inputs(wanted)
        self._ops = tuple(_opened(spec, op) for op in wanted)

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        if isinstance(batch, pa.Table):
            made = [self(one) for one in batch.to_batches()]
            return pa.Table.from_batches(made or [self(empty_batch(batch.schema))])
        if not isinstance(batch, pa.RecordBatch):
            raise InvalidInputError(f"batch is a {type(batch).__name__}; give a pyarrow RecordBatch or Table")
        for name, reader in self._needed.items():
            if name not in batch.schema.names:
                raise InvalidInputError(
                    f"the batch has no column '{name}', which {reader} of spec '{self._name}' reads; "
                    f"it has {', '.join(batch.schema.names)}"
                )
        batch = plain_batch(batch)
        for op in self._ops:
            batch = _applied(op, batch)
        return batch if self._outputs is None else Select(self._outputs).apply(batch)


def copy_files(spec: FeatureSpec, directory: Path) -> None:
    """Write all files that the spec's transforms need into the directory that the spec is written to."""
    for step in spec.transforms:
        op = _operation(spec, step)
        _opened(spec, op)
        for key, name in type(op).files(op.params).items():
            target = directory / name
            if target != Path(op.resources[key]):
                with replacing(target) as partial:
                    shutil.copyfile(op.resources[key], partial)


def files_of(ops: Sequence[Op]) -> dict[str, str]:
    """Where the files of these operations lie, by their names beside a spec."""
    return {name: op.resources[key] for op in ops for key, name in type(op).files(op.params).items()}


def _operation(spec: FeatureSpec, step: Transform) -> Op:
    kind = kind_of(step.op)
    found = {}
    for key, name in kind.files(step.params).items():
        if name in spec.files:
            found[key] = spec.files[name]
        elif spec.directory is not None:
            found[key] = str(spec.directory / name)
        else:
            raise NotFoundError(
                f"{step.op} of {_listed(step.inputs)} needs the file {name}, and the spec '{spec.name}' was not loaded "
                "from a directory; use FeatureSpec.load on the spec.json that it lies beside"
            )
    fields = {"op": step.op, "inputs": step.inputs, "outputs": step.outputs, "params": step.params, "resources": found}
    try:
        return from_json(fields)
    except (KeyError, IndexError, TypeError) as error:
        raise InvalidInputError(
            f"spec '{spec.name}': the transform {step.op} of {_listed(step.inputs)} lacks or misnames a field: {error}"
        ) from error


def _opened(spec: FeatureSpec, op: Op) -> Op:
    """The operation with its files read, which are those that the spec pins."""
    for path in op.resources.values():
        if not Path(path).is_file():
            raise NotFoundError(
                f"{op.name} of {_listed(op.inputs)} needs {path}, and there is no such file; "
                "copy it with the spec, or run the step again that wrote both"
            )
    if not op.resources:
        return op
    key = op.params.get("vocabulary")
    if key is not None and key not in spec.vocabularies:
        raise InvalidInputError(f"spec '{spec.name}' does not pin the vocabulary '{key}' that {op.name} names")
    try:
        return op.opened(op.params["sha256"] if key is None else spec.vocabularies[key].sha256)
    except InvalidInputError as error:
        raise InvalidInputError(f"{op.name} of {_listed(op.inputs)}: {error}") from error


def _require_usable(op: Op, modules: Sequence[str]) -> None:
    if not op.keeps_rows:
        raise InvalidInputError(f"{op.name} of {_listed(op.inputs)} makes other rows, so it cannot be part of a spec")
    if isinstance(op, Function) and op.function.partition(":")[0] not in modules:
        module = op.function.partition(":")[0]
        raise InvalidInputError(
            f"column '{op.output}' is made by {op.function}, a function that the spec names and does not hold; "
            f"if you trust it, pass modules=['{module}'], or leave '{op.output}' out of outputs"
        )


def _raw_inputs(ops: Sequence[Op]) -> dict[str, str]:
    """The columns that a batch must have, each with the operation that reads it first."""
    made: set[str] = set()
    needed: dict[str, str] = {}
    for op in ops:
        for name in op.inputs:
            if name not in made:
                needed.setdefault(name, op.name)
        made.update(op.outputs)
    return needed


def _applied(op: Op, batch: Any) -> Any:
    import pyarrow as pa

    try:
        return op.apply(batch)
    except (InvalidInputError, pa.ArrowException, TypeError) as error:
        types = [f"'{name}' ({batch.schema.field(name).type})" for name in op.inputs if name in batch.schema.names]
        raise InvalidInputError(f"{op.name} of {', '.join(types)}: {error}") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "no column"
