"""Two rankers as one: a cheap one scores every row, an exact one the best of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.rank.head import LEAST_HEAD, head_rows, put_first
from friesian_fast.rank.ranker import Ranker


class CascadeRanker:
    """Scores all rows with few bits and those that an answer can show with all; safe to call from many threads at once.

    The best `least` by the cheap ranker, or 8/5 of what is shown where that is more, are scored again by the exact
    one: the head. A row is missed only if the cheap ranker puts it behind the head, while the exact one has it among
    the best; `friesian publish` measures how often. The other rows keep their cheap scores, cut off below the least
    exact one: what is shown is exact. So a row's score depends on the rows that are scored with it.

    Parameters
    ----------
    cheap, exact : Ranker
        The same model twice.
    least : int, default 16
        Rows that the exact one scores at least.
    """

    def __init__(self, cheap: Ranker, exact: Ranker, least: int = LEAST_HEAD) -> None:
        self._cheap = cheap
        self._exact = exact
        self._least = least

    def score(self, inputs: Mapping[str, NDArray[Any]], shown: int | None = None) -> NDArray[np.float32]:
        """One score for each row.

        Parameters
        ----------
        inputs : mapping of str to array, shape (n,) for scalars and (n, length) for fixed columns and lists
            By model-input name, of the spec's types.
        shown : int, optional
            How many of the best will be looked at. If it is not said, or the head would be more than half of the
            rows, the exact ranker scores all, which is then as cheap.

        Returns
        -------
        array of float32, shape (n,)

        Raises
        ------
        InvalidInputError, ReleaseError
            What either ranker raises: an input is not the model's, or an answer is not one finite number for each row.
        """
        rows = max((array.shape[0] for array in inputs.values() if array.ndim), default=0)
        head = head_rows(shown, rows, self._least)
        if 2 * head > rows or rows == 0:
            return self._exact.score(inputs)
        scores: NDArray[np.float32] = self._cheap.score(inputs).copy()
        best = np.argpartition(scores, rows - head)[rows - head :]
        exact = self._exact.score({name: array.take(best, axis=0) for name, array in inputs.items()})
        return put_first(scores, best, exact)
