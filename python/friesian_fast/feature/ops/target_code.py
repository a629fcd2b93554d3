"""Categories to the numbers that a target encoding has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from friesian_fast.feature.map_file import load_numbers, map_sha256, numbers_of, read_map
from friesian_fast.feature.ops.base import Op, column, pinned_file, put, require_sha256
from friesian_fast.feature.ops.keys import key_texts


@dataclass(frozen=True, slots=True)
class EncodeTarget(Op):
    """The numbers of a map file for the category in `columns` (float64, last), `means` where it has none.

    With a `fold` column the map has a number for each of `folds`, and that of the row's own fold is taken. `sha256`
    pins what the map says.
    """

    columns: tuple[str, ...]
    out_cols: tuple[str, ...]
    means: tuple[float, ...]
    sha256: str
    path: str
    fold: str | None = None
    folds: tuple[int, ...] = ()
    read: Any = field(default=None, compare=False, repr=False)
    name = "encode_target"

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns if self.fold is None else (*self.columns, self.fold)

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.out_cols

    @property
    def params(self) -> dict[str, Any]:
        return {"means": list(self.means), "sha256": self.sha256, "fold": self.fold, "folds": list(self.folds)}

    @property
    def resources(self) -> dict[str, str]:
        return {"map": self.path}

    @classmethod
    def files(cls, params: Mapping[str, Any]) -> dict[str, str]:
        return {"map": pinned_file(params)}

    def opened(self, sha256: str) -> Op:
        batch = read_map(self.path)
        require_sha256(self.path, map_sha256(batch), sha256)
        return replace(self, read=numbers_of(batch))

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> EncodeTarget:
        fold = params["fold"]
        columns = tuple(inputs if fold is None else inputs[:-1])
        means, folds = tuple(params["means"]), tuple(params["folds"])
        return cls(columns, tuple(outputs), means, params["sha256"], resources["map"], fold, folds)

    def apply(self, batch: Any) -> Any:
        import numpy as np
        import pyarrow as pa

        keys = key_texts([column(batch, name) for name in self.columns], self.columns)
        if batch.num_rows == 0:  # planning asks for the type only, and needs no map for that
            return put(batch, dict.fromkeys(self.out_cols, pa.array([], pa.float64())), last=True)
        index, matrices = self.read or load_numbers(self.path)
        row = index.lookup(keys) - 1
        fold, known = self._fold(batch)
        known = known & (row >= 0)
        encoded = {}
        for name, mean, matrix in zip(self.out_cols, self.means, matrices, strict=True):
            found = np.full(batch.num_rows, mean)
            found[known] = matrix[row[known], fold[known]]
            encoded[name] = pa.array(found)
        return put(batch, encoded, last=True)

    def _fold(self, batch: Any) -> tuple[Any, Any]:
        """The place of each row's fold among `folds`, and whether it is there."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.fold is None:
            return np.zeros(batch.num_rows, np.int64), np.ones(batch.num_rows, np.bool_)
        folds = pa.array(self.folds, pa.int64())
        place = pc.index_in(column(batch, self.fold).cast(pa.int64()), value_set=folds)
        return pc.fill_null(place, 0).to_numpy(zero_copy_only=False), np.asarray(place.is_valid())
