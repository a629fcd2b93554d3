"""Ids replaced by other ids, alone or in lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.map_file import ids_of, load_ids, map_sha256, read_map
from friesian_fast.feature.ops.base import Op, column, pinned_file, put, require_sha256
from friesian_fast.feature.ops.elements import is_list, with_elements


@dataclass(frozen=True, slots=True)
class Reindex(Op):
    """New ids (int32) of a map file, 0 for ids it lacks, where the column stands; nulls stay null, also in lists.

    `sha256` pins what the map says.
    """

    column: str
    sha256: str
    path: str
    read: Any = field(default=None, compare=False, repr=False)
    name = "reindex"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        return {"sha256": self.sha256}

    @property
    def resources(self) -> dict[str, str]:
        return {"map": self.path}

    @classmethod
    def files(cls, params: Mapping[str, Any]) -> dict[str, str]:
        return {"map": pinned_file(params)}

    def opened(self, sha256: str) -> Op:
        batch = read_map(self.path)
        require_sha256(self.path, map_sha256(batch), sha256)
        return replace(self, read=ids_of(batch))

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Reindex:
        return cls(inputs[0], params["sha256"], resources["map"])

    def apply(self, batch: Any) -> Any:
        array = column(batch, self.column)
        require_ids(array.type, self.column)
        return put(batch, {self.column: self._renamed(array)})

    def _renamed(self, array: Any) -> Any:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if is_list(array.type):
            return with_elements(array, self._renamed(pc.list_flatten(array)))
        if len(array) == 0:
            return pa.array([], pa.int32())
        old, new = self.read or load_ids(self.path)
        ids = array.fill_null(0).to_numpy(zero_copy_only=False)
        place = np.minimum(np.searchsorted(old, ids), max(len(old) - 1, 0))
        found = np.where(old[place] == ids, new[place], 0) if len(old) else np.zeros(len(ids), np.int32)
        mask = np.asarray(array.is_null()) if array.null_count else None
        return pa.array(found.astype(np.int32, copy=False), pa.int32(), mask=mask)


def require_ids(kind: Any, name: str) -> None:
    """The column's type must be int, a list of int, or a list of such lists.

    Raises
    ------
    InvalidInputError
        If it is any other.
    """
    import pyarrow as pa

    inner = kind
    for _ in range(2):
        inner = inner.value_type if is_list(inner) else inner
    if not pa.types.is_integer(inner):
        raise InvalidInputError(f"{name} should be a column of int, or of lists of int, but it has type {kind}")
