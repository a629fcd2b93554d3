"""What the recommender asks of a ranker, whichever runtime or wire is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Ranker(Protocol):
    """Scores candidates."""

    def score(self, inputs: Mapping[str, NDArray[Any]], shown: int | None = None) -> NDArray[np.float32]:
        """One score for each row.

        Parameters
        ----------
        inputs : mapping of str to array, shape (n,) or (n, length)
            By model-input name, of the spec's types; all of the same n.
        shown : int, optional
            How many of the best will be looked at; all of them if it is not said. The others' scores may be worth
            less, but are below those.

        Returns
        -------
        array of float32, shape (n,)
            Finite.
        """
        ...
