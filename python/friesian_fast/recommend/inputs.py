"""A ranker's inputs from one user's row and many items' rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import FeatureSpec
from friesian_fast.store import Rows


class InputBuilder:
    """Knows from the spec which column feeds which input."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._inputs = []
        for value in spec.model_inputs:
            if value.row_set not in ("user", "item"):
                raise InvalidInputError(
                    f"model input '{value.name}' is fed by row set '{value.row_set}'; user and item feed rankers"
                )
            self._inputs.append((value.name, value.row_set == "user", value.column))

    def build(self, user: Rows, items: Rows) -> dict[str, NDArray[Any]]:
        """Inputs for all items that have a row.

        Parameters
        ----------
        user : Rows
            One row, which was found.
        items : Rows
            Those not found are left out.

        Returns
        -------
        dict of str to array, shape (n,) or (n, length)
            n is the number of items found; a user's value is repeated n times.
        """
        count = int(np.count_nonzero(items.found))
        complete = count == len(items.found)
        inputs: dict[str, NDArray[Any]] = {}
        for name, of_user, column in self._inputs:
            if of_user:
                inputs[name] = np.repeat(user.columns[column], count, axis=0)
            else:
                values = items.columns[column]
                inputs[name] = values if complete else values[items.found]
        return inputs
