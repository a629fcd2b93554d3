"""Weights by name."""

from __future__ import annotations

from collections.abc import Mapping

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.comm import Array


def check_names(given: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that are not of this model."""
    for name in wanted:
        if name not in given:
            raise InvalidInputError(f"the weights lack '{name}'; they are of another model, of {list(given)[:5]}")
    for name, value in given.items():
        if name not in wanted:
            raise InvalidInputError(f"the weights have '{name}', which this model has not; they are of another model")
        if tuple(value.shape) != wanted[name]:
            raise InvalidInputError(f"weight '{name}' has shape {value.shape}, the model's has {wanted[name]}")
