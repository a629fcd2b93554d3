"""Two rankers as one: a cheap one scores every row, an exact one the best of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.rank.ranker import Ranker


class CascadeRanker:
    """Scores all rows with few bits and those that an answer can hold with all; safe to call from many threads at once.

    A row is missed only if the cheap ranker puts it behind `rescored` others, while the exact one has it among the
    best; `friesian publish` measures how often. The other rows keep their cheap scores, but none above the least exact
    one: no cheap score outranks an exact one. So a row's score depends on the rows that are scored with it.

    Parameters
    ----------
    cheap, exact : Ranker
        The same model twice.
    rescored : int
        Rows that the exact one scores.
    """

    def __init__(self, cheap: Ranker, exact: Ranker, rescored: int) -> None:
        self._cheap = cheap
        self._exact = exact
        self._rescored = rescored

    def score(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """One score for each row.

        Parameters
        ----------
        inputs : mapping of str to array, shape (n,) for scalars and (n, length) for fixed columns and lists
            By model-input name, of the spec's types.

        Returns
        -------
        array of float32, shape (n,)

        Raises
        ------
        InvalidInputError, ReleaseError
            What either ranker raises: an input is not the model's, or an answer is not one finite number for each row.
        """
        rows = max((array.shape[0] for array in inputs.values() if array.ndim), default=0)
        if rows <= self._rescored:
            return self._exact.score(inputs)
        scores: NDArray[np.float32] = self._cheap.score(inputs).copy()
        best = np.argpartition(scores, rows - self._rescored)[rows - self._rescored :]
        exact = self._exact.score({name: array.take(best, axis=0) for name, array in inputs.items()})
        np.minimum(scores, exact.min(), out=scores)
        scores[best] = exact
        return scores
