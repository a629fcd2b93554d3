"""What every runtime's ranker checks: the model against the spec once, each call's inputs and scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import FriesianError, InvalidInputError, NotFoundError, ReleaseError, SchemaMismatchError
from friesian_fast.spec import Column, FeatureSpec

# Weights of a product from which fewer bits are worth it. Below, it costs little, and its inputs are the features
# themselves, which fewer bits resolve badly.
LARGE_PRODUCT = 1 << 18


class Port(NamedTuple):
    """One input of a model: its element type as the spec writes it, and how many dimensions it has."""

    type: str
    rank: int


class ModelRanker(ABC):
    """A model file on some runtime; safe to call from many threads at once.

    A subclass loads its file, says what the model takes and answers, and runs it.

    Parameters
    ----------
    path : Path
        For the error texts.
    spec : FeatureSpec
        Its `model_inputs` are what the model must take.
    inputs : mapping of str to Port
        What the model takes, by name.
    outputs : sequence of str
        Names of what it answers; there must be one.

    Raises
    ------
    SchemaMismatchError
        If the model's inputs are not the spec's.
    ReleaseError
        If it has several outputs, or does not answer one finite score for each row.
    """

    def __init__(self, path: Path, spec: FeatureSpec, inputs: Mapping[str, Port], outputs: Sequence[str]) -> None:
        self._path = path
        columns = {value.name: spec.input_column(value) for value in spec.model_inputs}
        _check_ports(path, inputs, columns)
        if len(outputs) != 1:
            raise ReleaseError(
                f"{path} has {len(outputs)} outputs ({', '.join(outputs)}); a ranker has one score per row"
            )
        self._expected = {name: (np.dtype(column.type), tail(column)) for name, column in columns.items()}

    @abstractmethod
    def _run(self, inputs: Mapping[str, NDArray[Any]], rows: int, shown: int | None) -> NDArray[Any]:
        """The model's answer for inputs that fit; any exception means that it refuses these rows."""

    def warm_up(self) -> None:
        """Score zeros: an answer of the wrong shape is found now, and the first request finds a warm model."""
        zeros = {name: np.zeros((1, *shape), dtype) for name, (dtype, shape) in self._expected.items()}
        try:
            self.score(zeros)
        except InvalidInputError as error:
            raise ReleaseError(f"{error}; these were zeros, which every ranker takes: publish a sound one") from error

    def score(self, inputs: Mapping[str, NDArray[Any]], shown: int | None = None) -> NDArray[np.float32]:
        """One score for each row.

        Parameters
        ----------
        inputs : mapping of str to array, shape (n,) for scalars and (n, length) for fixed columns and lists
            By model-input name, of the spec's types.
        shown : int, optional
            How many of the best will be looked at. It makes no difference where every row is scored alike.

        Returns
        -------
        array of float32, shape (n,)

        Raises
        ------
        InvalidInputError
            If an input is missing, too many, of another type or shape, or holds a value the model refuses.
        ReleaseError
            If the model's answer is not one finite number for each row.
        """
        rows = self._check(inputs)
        if rows == 0:
            return np.empty(0, np.float32)
        try:
            scores = self._run(inputs, rows, shown)
        except FriesianError:
            raise
        except Exception as error:  # the runtimes' exceptions have no common base but this
            raise InvalidInputError(f"{self._path} refuses these {rows} rows: {error}") from error
        if scores.ndim == 0 or scores.size != rows or scores.shape[0] != rows:
            raise ReleaseError(f"{self._path} answered shape {scores.shape} for {rows} rows; publish a sound ranker")
        flat: NDArray[np.float32] = scores.reshape(rows).astype(np.float32, copy=False)
        if not np.isfinite(flat).all():
            bad = int(np.count_nonzero(~np.isfinite(flat)))
            raise ReleaseError(
                f"{self._path}: {bad} of {rows} scores are NaN or infinite; look for such values in the features, "
                "or publish a sound ranker"
            )
        return flat

    def _check(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        if inputs.keys() != self._expected.keys():
            raise InvalidInputError(
                f"the inputs are not the model's: too many {sorted(inputs.keys() - self._expected.keys())}, "
                f"missing {sorted(self._expected.keys() - inputs.keys())}"
            )
        rows: int = next(iter(inputs.values())).shape[0]
        for name, (dtype, shape) in self._expected.items():
            array = inputs[name]
            if array.dtype != dtype or array.shape != (rows, *shape):
                raise InvalidInputError(
                    f"input '{name}' is {array.dtype} of shape {array.shape}; it must be {dtype} of shape "
                    f"{(rows, *shape)}"
                )
        return rows


def tail(column: Column) -> tuple[int, ...]:
    """What follows the number of rows in the shape of a column's array."""
    return () if column.kind == "scalar" else (column.length,)


def require_file(path: Path) -> None:
    """Refuse a model that is not there.

    Raises
    ------
    NotFoundError
    """
    if not path.exists():
        raise NotFoundError(f"there is no model at {path}; training exports it and `friesian publish` copies it")


def _check_ports(path: Path, found: Mapping[str, Port], columns: Mapping[str, Column]) -> None:
    if found.keys() != columns.keys():
        raise SchemaMismatchError(
            f"{path} takes other inputs than the spec says: too many {sorted(found.keys() - columns.keys())}, "
            f"missing {sorted(columns.keys() - found.keys())}"
        )
    for name, column in columns.items():
        port, wanted = found[name], 1 + len(tail(column))
        if port.type != column.type:
            raise SchemaMismatchError(
                f"{path}: input '{name}' is {port.type}, but column '{column.name}' is {column.type}"
            )
        if port.rank != wanted:
            raise SchemaMismatchError(
                f"{path}: input '{name}' has {port.rank} dimensions, but column '{column.name}' of kind "
                f"'{column.kind}' gives {wanted}"
            )
