"""Numbers to the index of the bin they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, numeric, put


@dataclass(frozen=True, slots=True)
class CutBins(Op):
    """n edges make n + 1 bins, closed below; null and NaN get index n + 1; the output is the last column.

    With labels the output is the bin's; of n + 2 the last is that of nulls.
    """

    column: str
    output: str
    edges: tuple[float, ...]
    labels: tuple[str, ...] = ()
    drop: bool = True
    name = "cut_bins"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def params(self) -> dict[str, Any]:
        labels = {"labels": list(self.labels)} if self.labels else {}
        return {"edges": list(self.edges), "drop": self.drop, **labels}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> CutBins:
        labels = tuple(params.get("labels", ()))
        return cls(inputs[0], outputs[0], tuple(params["edges"]), labels, params["drop"])

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        array = numeric(column(batch, self.column), self.column)
        values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # nulls become NaN
        index = np.searchsorted(np.asarray(self.edges, np.float64), values, side="right").astype(np.int32)
        index[np.isnan(values)] = len(self.edges) + 1
        result = pa.array(index) if not self.labels else self._labelled(index)
        return put(batch, {self.output: result}, last=True, drop=[self.column] if self.drop else [])

    def _labelled(self, index: Any) -> Any:
        import pyarrow as pa

        if len(index) and index.max() >= len(self.labels):
            raise InvalidInputError(
                f"column '{self.column}' has nulls, for which there is no label; fill them first, "
                "or give one label more"
            )
        return pa.array(self.labels, pa.string()).take(pa.array(index))
