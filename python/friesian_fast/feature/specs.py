"""A table method that collects what was fitted and recorded into a FeatureSpec."""

from __future__ import annotations

from collections.abc import Sequence

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops import Select
from friesian_fast.feature.plan import recorded
from friesian_fast.feature.table import Table
from friesian_fast.feature.transform import files_of
from friesian_fast.spec import FeatureSpec, ModelInput, RowSet


class SpecTable(Table):
    """The part of `FeatureTable` that says how its columns came about."""

    def spec(self, name: str, row_sets: Sequence[RowSet] = (), model_inputs: Sequence[ModelInput] = ()) -> FeatureSpec:
        """Everything that was recorded and fitted on the way to these columns: vocabularies, bins, bounds, sizes.

        ``table.spec("shop").transform(batch)`` makes the same columns, in the same order, of raw rows without Spark;
        ``save(path, files=True)`` keeps it with its vocabularies. Steps that only pick, order or spread rows (`filter`,
        `sort`, `sample` and the like) are no part of it, and neither are those that make rows (negatives, histories):
        what they made counts as raw.

        Parameters
        ----------
        name : str
        row_sets : sequence of RowSet
            What is looked up by id when serving.
        model_inputs : sequence of ModelInput
            What the ranker takes, in its order.

        Raises
        ------
        InvalidInputError
            If a step that a spec cannot repeat (a join, a group_by, `apply`) changed columns after operations were
            recorded.
        """
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"name should be a text, but got {name!r}; it names the spec")
        ops = [op for op in recorded(self._parts) if op.keeps_rows]
        return FeatureSpec(
            name=name,
            row_sets=tuple(row_sets),
            model_inputs=tuple(model_inputs),
            transforms=(*self.transforms, Select(tuple(self.columns)).transform()),
            vocabularies={key: file.pinned for key, file in self.vocabularies.items()},
            files=files_of(ops),
        )
