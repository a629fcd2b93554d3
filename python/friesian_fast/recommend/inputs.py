"""A ranker's inputs from one user's row, many items' rows, and what recall knows of each pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError, SchemaMismatchError
from friesian_fast.spec import CANDIDATE, FeatureSpec, RowSet
from friesian_fast.store import RowBatch
from friesian_fast.store.codec import schema_of


class InputBuilder:
    """Knows from the spec which column feeds which input, and decodes each row straight into them."""

    def __init__(self, spec: FeatureSpec) -> None:
        user, item = (spec.row_set(name) for name in ("user", "item"))
        sources: dict[tuple[str, str], str] = {}
        self._same: list[tuple[str, str]] = []  # inputs that another one's column feeds too
        self._of_candidates: list[tuple[str, str]] = []
        inputs = []
        for value in spec.model_inputs:
            if value.row_set == CANDIDATE:
                self._of_candidates.append((value.name, value.column))
                continue
            if value.row_set not in ("user", "item"):
                raise InvalidInputError(
                    f"model input '{value.name}' is fed by row set '{value.row_set}'; user, item and "
                    f"{CANDIDATE} feed rankers"
                )
            of_user = value.row_set == "user"
            source = sources.setdefault((value.row_set, value.column), value.name)
            if source != value.name:
                self._same.append((value.name, source))
            else:
                inputs.append((value.name, of_user, _number(user if of_user else item, value.column)))
        schemas = [schema_of(row_set, spec.row_tag(row_set.name)) for row_set in (user, item)]
        self._native = _core.RowInputs(schemas[0], schemas[1], inputs)

    def build(
        self, user: RowBatch, items: RowBatch, proposed: Mapping[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Inputs for all items that have a row.

        Parameters
        ----------
        user : RowBatch
            One row, which was found.
        items : RowBatch
            Those not found are left out.
        proposed : mapping of column to array, shape (m,), optional
            What recall knows of each of the m items, found or not.

        Returns
        -------
        dict of str to array, shape (n,) or (n, length)
            n is the number of items found; a user's value is repeated n times.

        Raises
        ------
        SchemaMismatchError, InvalidInputError
            If a row was packed under another feature spec, or is malformed; the message names its id.
        """
        inputs = self._native.build(user, items)
        for name, source in self._same:
            inputs[name] = inputs[source]
        for name, column in self._of_candidates:
            inputs[name] = _known(column, items, proposed or {})
        return inputs


def _known(column: str, items: RowBatch, proposed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """One value of each item that was found."""
    values = proposed.get(column)
    if values is None:
        raise SchemaMismatchError(
            f"recall gives no column '{column}' of the candidates, which the ranker takes; run all services with the "
            "same version"
        )
    return values if items.count == len(values) else np.ascontiguousarray(values[items.found])


def _number(row_set: RowSet, name: str) -> int:
    return [column.name for column in row_set.columns].index(name)
