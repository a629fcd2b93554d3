"""Values looked up by integer keys: a dictionary of two columns as a file that every task maps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, pinned_file, put, require_sha256
from friesian_fast.feature.ops.lists import is_list, list_array, lists_of

# A key range up to so many times the number of keys is looked up by position, a wider one by binary search.
_DENSE = 8


@dataclass(frozen=True, slots=True)
class LookUp(Op):
    """The values of a dictionary for integers, or for those in lists, or in lists of lists: in place, or last.

    What the dictionary lacks gives 0, null stays null. `sha256` says which dictionary it is.
    """

    column: str
    output: str
    sha256: str
    path: str
    read: Dictionary | None = field(default=None, compare=False, repr=False)
    name = "look_up"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def params(self) -> dict[str, Any]:
        return {"sha256": self.sha256}

    @property
    def resources(self) -> dict[str, str]:
        return {"dictionary": self.path}

    @classmethod
    def files(cls, params: Mapping[str, Any]) -> dict[str, str]:
        return {"dictionary": pinned_file(params)}

    def opened(self, sha256: str) -> Op:
        dictionary = read_dictionary(self.path)
        require_sha256(self.path, _sha256(dictionary.keys, dictionary.values), sha256)
        return replace(self, read=dictionary)

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> LookUp:
        return cls(inputs[0], outputs[0], params["sha256"], resources["dictionary"])

    def apply(self, batch: Any) -> Any:
        return put(batch, {self.output: self._found(column(batch, self.column))})

    def _found(self, array: Any) -> Any:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if is_list(array.type):
            lists = lists_of(array)
            if array.null_count == 0 and len(lists.starts):  # the usual case: the elements lie without gaps
                values = lists.values.slice(lists.starts[0], int(lists.lengths.sum()))
            else:
                values = array.flatten()
            return list_array(lists.lengths, self._found(values))
        dictionary = self.read or load_dictionary(self.path)
        found = dictionary.find(pc.fill_null(array, 0).to_numpy().astype(np.int64))
        return pa.array(found, mask=np.asarray(array.is_null()) if array.null_count else None)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Ascending keys and their values; by position if `dense`, which then has a value for each key from the first."""

    keys: Any
    values: Any
    dense: Any

    def find(self, wanted: Any) -> Any:
        """The values of these keys, 0 for unknown ones."""
        import numpy as np

        if len(self.keys) == 0:
            return np.zeros(len(wanted), self.values.dtype)
        known = (wanted >= self.keys[0]) & (wanted <= self.keys[-1])
        if self.dense is not None:
            return np.where(known, self.dense[np.where(known, wanted - self.keys[0], 0)], self.dense.dtype.type(0))
        at = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, self.values[at], self.values.dtype.type(0))


def write_dictionary(path: Path, pairs: Any) -> str:
    """Write a table of two columns, keys and values, for `load_dictionary`; of equal keys the smallest value counts.

    Returns
    -------
    str
        SHA-256 of what counts, in hex: the same for the same pairs in any order.
    """
    import numpy as np
    import pyarrow as pa

    keys, values = (pairs.column(i).to_numpy() for i in (0, 1))
    order = np.lexsort((values, keys))
    keys, values = keys[order].astype(np.int64), values[order]
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    table = pa.table({"key": keys[first], "value": values[first]})
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    partial.replace(path)
    return _sha256(keys[first], values[first])


def _sha256(keys: Any, values: Any) -> str:
    digest = hashlib.sha256(str(values.dtype).encode())
    digest.update(keys.tobytes())
    digest.update(values.tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=8)
def load_dictionary(path: str) -> Dictionary:
    """`read_dictionary`, once per worker process; files are never rewritten under one name."""
    return read_dictionary(path)


def read_dictionary(path: str) -> Dictionary:
    """The dictionary of a file."""
    import numpy as np
    import pyarrow as pa

    try:
        with pa.memory_map(path) as source:
            table = pa.ipc.open_file(source).read_all()
            keys, values = table.column("key").to_numpy(), table.column("value").to_numpy()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InvalidInputError(f"{path} cannot be read as a dictionary ({error}); make it again") from error
    dense = None
    if len(keys) and int(keys[-1]) - int(keys[0]) < _DENSE * len(keys):
        dense = np.zeros(int(keys[-1]) - int(keys[0]) + 1, values.dtype)
        dense[keys - keys[0]] = values
    return Dictionary(keys, values, dense)
