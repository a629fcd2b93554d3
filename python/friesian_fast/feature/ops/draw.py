"""Rows drawn by chance: by the seed and a row's own values, so that partitions and machines make no difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from friesian_fast.feature.ops.base import Op, column, put
from friesian_fast.feature.ops.keys import normal
from friesian_fast.feature.ops.lists import row_keys, runs
from friesian_fast.feature.ops.unfold import PIECE_VALUES

_BITS = 53  # of a key, as many as a double holds


class Draw(Op):
    """An operation after which each row is there as often as was drawn for it; it has the columns it had."""

    columns: tuple[str, ...]
    keeps_rows: ClassVar[bool] = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class DrawShare(Draw):
    """The rows whose number, uniform on [0, 1) and drawn by the values of `columns`, lies in [low, high)."""

    columns: tuple[str, ...]
    seed: int
    low: float
    high: float
    name = "draw_share"

    @property
    def params(self) -> dict[str, Any]:
        return {"seed": self.seed, "low": self.low, "high": self.high}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> DrawShare:
        return cls(tuple(inputs), **params)

    def apply(self, batch: Any) -> Any:
        import pyarrow as pa

        numbers = _uniform(batch, self.columns, self.seed)
        return batch.filter(pa.array((numbers >= self.low) & (numbers < self.high)))


@dataclass(frozen=True, slots=True)
class DrawTimes(Draw):
    """Each row as often as drawn, by the values of `columns`, from a Poisson distribution of that mean."""

    columns: tuple[str, ...]
    seed: int
    mean: float
    name = "draw_times"

    @property
    def params(self) -> dict[str, Any]:
        return {"seed": self.seed, "mean": self.mean}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> DrawTimes:
        return cls(tuple(inputs), **params)

    def stream(self, batch: Any) -> Iterator[Any]:
        times = self._times(batch)
        for begin, end in runs(times * batch.num_columns, PIECE_VALUES):
            yield _repeated(batch.slice(begin, end - begin), times[begin:end])

    def apply(self, batch: Any) -> Any:
        return _repeated(batch, self._times(batch))

    def _times(self, batch: Any) -> Any:
        import numpy as np

        return np.searchsorted(_poisson(self.mean), _uniform(batch, self.columns, self.seed), side="right")


def _repeated(batch: Any, times: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    return batch.take(pa.array(np.repeat(np.arange(batch.num_rows), times)))


def _uniform(batch: Any, columns: Sequence[str], seed: int) -> Any:
    import numpy as np

    same = put(batch, {name: normal(column(batch, name)) for name in columns})  # what is equal is drawn alike
    return (row_keys(same, columns, seed) >> np.uint64(64 - _BITS)) * 2.0**-_BITS


def _poisson(mean: float) -> Any:
    """The distribution function at 0, 1, 2 and so on, as far as a double tells it from 1."""
    import math

    import numpy as np

    most = math.ceil(mean + 12 * math.sqrt(mean) + 40)
    logs = [-mean + (k * math.log(mean) if k else 0.0) - math.lgamma(k + 1) for k in range(most)]
    return np.cumsum(np.exp(logs))
