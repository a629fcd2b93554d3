"""A ranker's inputs from one user's row and many items' rows."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import FeatureSpec, RowSet
from friesian_fast.store import RowBatch
from friesian_fast.store.codec import schema_of


class InputBuilder:
    """Knows from the spec which column feeds which input, and decodes each row straight into them."""

    def __init__(self, spec: FeatureSpec) -> None:
        user, item = (spec.row_set(name) for name in ("user", "item"))
        sources: dict[tuple[str, str], str] = {}
        self._same: list[tuple[str, str]] = []  # inputs that another one's column feeds too
        inputs = []
        for value in spec.model_inputs:
            if value.row_set not in ("user", "item"):
                raise InvalidInputError(
                    f"model input '{value.name}' is fed by row set '{value.row_set}'; user and item feed rankers"
                )
            of_user = value.row_set == "user"
            source = sources.setdefault((value.row_set, value.column), value.name)
            if source != value.name:
                self._same.append((value.name, source))
            else:
                inputs.append((value.name, of_user, _number(user if of_user else item, value.column)))
        schemas = [schema_of(row_set, spec.row_tag(row_set.name)) for row_set in (user, item)]
        self._native = _core.RowInputs(schemas[0], schemas[1], inputs)

    def build(self, user: RowBatch, items: RowBatch) -> dict[str, NDArray[Any]]:
        """Inputs for all items that have a row.

        Parameters
        ----------
        user : RowBatch
            One row, which was found.
        items : RowBatch
            Those not found are left out.

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
        return inputs


def _number(row_set: RowSet, name: str) -> int:
    return [column.name for column in row_set.columns].index(name)
