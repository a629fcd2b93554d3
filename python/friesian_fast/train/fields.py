"""The columns that feed a model: their types, lengths and sizes, checked against the schema before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import Categorical
from friesian_fast.spec import FeatureSpec

MASK = "_mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input of a model.

    Parameters
    ----------
    name : str
        Of the input, and of the column that feeds it.
    dtype : str
        What the model gets: "int32", "int64" or "float32".
    is_list : bool
    length : int or None
        Elements of a list: the most it may have, to which shorter ones are filled up with zeros; None fills up to the
        longest of the batch.
    size : int or None
        A categorical column's ids lie in ``[0, size)``.
    mask_of : str or None
        The list column whose elements this input marks with 1, and the filling with 0; no column feeds it.
    is_binary : bool
        Only 0 and 1 may occur.
    is_made : bool
        No column feeds it; who adds rows to the batches makes it.
    """

    name: str
    dtype: str
    is_list: bool = False
    length: int | None = None
    size: int | None = None
    mask_of: str | None = None
    is_binary: bool = False
    is_made: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller or a model says about a column before its type is known; None means nothing."""

    name: str
    dtype: str | None = None
    length: int | None = None
    size: int | None = None


def wanted(features: FeatureSpec | Iterable[str | Categorical]) -> list[Wanted]:
    """The features that a caller names: a spec's model inputs, or columns, those of ids with their sizes."""
    if isinstance(features, FeatureSpec):
        found = []
        for model_input in features.model_inputs:
            column = features.input_column(model_input)
            length = None if column.kind == "scalar" else column.length
            found.append(Wanted(model_input.name, column.type, length, column.size))
        return found
    return [Wanted(f.name, size=f.size) if isinstance(f, Categorical) else Wanted(f) for f in features]


def resolve(features: Sequence[Wanted], schema: Any, *, integers: str, where: str) -> list[Field]:
    """Fields of the features, from the data's schema.

    Parameters
    ----------
    features : sequence of Wanted
    schema : pyarrow.Schema
    integers : {"int32", "int64"}
        What a column of integers becomes if the model does not say.
    where : str
        For the error texts.

    Raises
    ------
    InvalidInputError
        If a column is missing, there twice, or holds what no model takes.
    """
    names = [feature.name for feature in features]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInputError(f"column '{name}' is named twice among the features; keep one")
    return [_field(feature, schema, integers, where) for feature in features]


def _field(feature: Wanted, schema: Any, integers: str, where: str) -> Field:
    import pyarrow.types as types

    name = feature.name
    if name not in schema.names:
        source = name.removesuffix(MASK)
        if source != name and source in schema.names and _is_list(schema.field(source).type):
            return Field(
                name=name, dtype=feature.dtype or "float32", is_list=True, length=feature.length, mask_of=source
            )
        raise InvalidInputError(f"{where} has no column '{name}'; it has {', '.join(schema.names)}")
    kind = schema.field(name).type
    is_list = _is_list(kind)
    length = feature.length
    if types.is_fixed_size_list(kind):
        length = kind.list_size
        if feature.length not in (None, length):
            raise InvalidInputError(f"{where}: column '{name}' has lists of {length}, the model takes {feature.length}")
    element = kind.value_type if is_list else kind
    if types.is_integer(element) or types.is_boolean(element):
        dtype = feature.dtype or integers
    elif types.is_floating(element):
        dtype = feature.dtype or "float32"
    else:
        raise InvalidInputError(
            f"{where}: column '{name}' is of {kind}; a model takes integers, floats and lists of them: encode it first"
        )
    return Field(name=name, dtype=dtype, is_list=is_list, length=length if is_list else None, size=feature.size)


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def columns_of(fields: Iterable[Field]) -> list[str]:
    """The columns to read, each once, in order."""
    return list(dict.fromkeys(field.mask_of or field.name for field in fields))


def merged(features: Sequence[Wanted], of_model: Mapping[str, Wanted]) -> list[Wanted]:
    """The caller's features, with what the model says of its inputs where the caller says nothing."""
    found = []
    for feature in features:
        said = of_model.get(feature.name, feature)
        found.append(
            Wanted(feature.name, said.dtype or feature.dtype, feature.length or said.length, feature.size or said.size)
        )
    return found
