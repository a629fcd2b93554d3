"""A table method that turns texts into vectors, by any encoder, many texts a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError, MissingExtraError
from friesian_fast.feature.frames import FrameTable
from friesian_fast.feature.tasks import guarded, opened, scratch

T = TypeVar("T", bound="EmbedTable")

Encoder = Callable[[list[str]], Any]


class EmbedTable(FrameTable):
    """The part of `FeatureTable` that embeds texts."""

    def string_embed(
        self: T,
        columns: str | Sequence[str],
        bert_model: str = "distilbert-base-uncased",
        reduce_dim: int | None = None,
        replace: bool = True,
        encoder: Encoder | None = None,
    ) -> T:
        """The vector of each text, as an array of double; null stays null.

        Each different text of a batch is encoded once, all of them in one call (the original made a call for each row).

        Parameters
        ----------
        columns : str or list of str
        bert_model : str
            A model of sentence-transformers, by name or path; needs the ``embed`` extra. Each task loads it once.
        reduce_dim : int, optional
            Keep so many principal components, found over all rows of the column; the vectors are projected as they are,
            not centred, as Spark's PCA does. Each component's largest entry is positive, so the same rows in the same
            partitions give the same vectors.
        replace : bool
            Replace the column where it stands; else add ``<column>_embds`` as a last column.
        encoder : callable, optional
            Instead of the model: takes a list of str, returns an array of floats, shape (number of texts, dimensions).
            Spark ships it to the tasks as it does with any function.
        """
        import pyarrow as pa

        names = self._existing(columns)
        for name in names:
            kind = self._type(name)
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise InvalidInputError(f"Each column should be of string type, but column '{name}' has type {kind}")
        if reduce_dim is not None and (not isinstance(reduce_dim, int) or reduce_dim < 1):
            raise InvalidInputError(f"reduce_dim should be an int of at least 1, but got {reduce_dim!r}.")
        if encoder is None:
            _require_sentence_transformers()
            encoder = partial(sentence_vectors, bert_model)
        elif not callable(encoder):
            raise InvalidInputError(f"encoder should be a function of a list of str, but got {type(encoder).__name__}")
        outputs = {name: name if replace else f"{name}_embds" for name in names}
        taken = [out for out in outputs.values() if not replace and out in self.columns]
        if taken:
            raise InvalidInputError(f"there is a column '{taken[0]}' already; rename it, or embed with replace=True")
        frame = _mapped(self.df, outputs, partial(embed_batches, outputs, encoder))
        if reduce_dim is not None:
            frame = _reduced(frame, list(outputs.values()), reduce_dim)
        return self._of(frame, "string_embed")


def embed_batches(outputs: dict[str, str], encoder: Encoder, batches: Iterable[Any]) -> Iterator[Any]:
    """The task: batches with the vectors of the texts in these columns."""
    from friesian_fast.feature.ops.base import put

    for batch in batches:
        yield put(batch, {out: _vectors(name, batch.column(name), encoder) for name, out in outputs.items()})


def sentence_vectors(model: str, texts: list[str]) -> Any:
    """Of a sentence-transformers model, which each process loads once."""
    return _sentence_transformer(model).encode(texts)


@lru_cache(maxsize=2)
def _sentence_transformer(model: str) -> Any:
    _require_sentence_transformers()
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(model)


def _require_sentence_transformers() -> None:
    from importlib.util import find_spec

    if find_spec("sentence_transformers") is None:
        raise MissingExtraError("string_embed without an encoder", "embed")


def _vectors(name: str, texts: Any, encoder: Encoder) -> Any:
    import numpy as np
    import pyarrow as pa

    codes = texts.dictionary_encode()
    if not len(codes.dictionary):
        return pa.array([None] * len(texts), pa.list_(pa.float64()))
    vectors = np.asarray(encoder(codes.dictionary.to_pylist()), np.float64)
    if vectors.ndim != 2 or len(vectors) != len(codes.dictionary):
        raise InvalidInputError(
            f"the encoder of column '{name}' made an array of shape {vectors.shape} of {len(codes.dictionary)} texts; "
            "it must return one row for each text"
        )
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * np.int32(vectors.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.ravel())).take(codes.indices)


def _mapped(frame: Any, outputs: dict[str, str], function: Callable[[Iterable[Any]], Iterator[Any]]) -> Any:
    """The frame with columns of vectors in place, or last, which the function makes of its batches."""
    from pyspark.sql.types import ArrayType, DoubleType, StructField, StructType

    vectors = ArrayType(DoubleType())
    fields = [StructField(f.name, vectors) if f.name in outputs.values() else f for f in frame.schema.fields]
    known = {field.name for field in fields}
    fields += [StructField(out, vectors) for out in outputs.values() if out not in known]
    return frame.mapInArrow(function, StructType(fields))


def _reduced(frame: Any, columns: Sequence[str], dimensions: int) -> Any:
    """The frame with its vectors projected to their principal components."""
    directory = str(scratch("embed"))
    frame.write.mode("overwrite").parquet(directory)  # the texts are encoded once
    embedded = frame.sparkSession.read.parquet(directory)
    rows = embedded.select(*[f"`{name}`" for name in columns]).mapInArrow(moments_of, "answer string").collect()
    sums = [opened(row.answer) for row in rows]
    components = {name: _components(name, [one[name] for one in sums if name in one], dimensions) for name in columns}
    return _mapped(embedded, {name: name for name in columns}, partial(project_batches, components))


def moments_of(batches: Iterable[Any]) -> Iterator[Any]:
    """The task: of each column the number of vectors, their sum and the sum of their outer products."""
    import pyarrow as pa

    def summed(_: dict[str, Any]) -> dict[str, Any]:
        sums: dict[str, list[Any]] = {}
        for batch in batches:
            for name in batch.schema.names:
                vectors = _matrix(name, batch.column(name))
                if not len(vectors):
                    continue
                more = [len(vectors), vectors.sum(axis=0), vectors.T @ vectors]
                if name in sums and len(sums[name][1]) != len(more[1]):
                    raise InvalidInputError(f"the vectors of column '{name}' have different lengths")
                sums[name] = [a + b for a, b in zip(sums[name], more, strict=True)] if name in sums else more
        return {name: [count, total.tolist(), outer.tolist()] for name, (count, total, outer) in sums.items()}

    yield pa.record_batch({"answer": pa.array([guarded(summed, "{}")], pa.string())})


def project_batches(components: dict[str, Any], batches: Iterable[Any]) -> Iterator[Any]:
    """The task: vectors times the components."""
    import numpy as np
    import pyarrow as pa

    from friesian_fast.feature.ops.base import put

    for batch in batches:
        made = {}
        for name, matrix in components.items():
            array = batch.column(name)
            vectors = _matrix(name, array)
            short = vectors @ matrix if len(vectors) else np.empty((0, matrix.shape[1]))
            lengths = np.where(np.asarray(array.is_null()), 0, matrix.shape[1])
            offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
            made[name] = pa.ListArray.from_arrays(offsets, pa.array(short.ravel()), mask=array.is_null())
        yield put(batch, made)


def _matrix(name: str, array: Any) -> Any:
    """The vectors that are not null, float64 of shape (n, dimensions)."""
    import numpy as np

    kept = array.drop_null()
    if not len(kept):
        return np.empty((0, 0))
    lengths = kept.value_lengths().to_numpy()
    if (lengths != lengths[0]).any():
        raise InvalidInputError(f"the vectors of column '{name}' have different lengths")
    return kept.flatten().to_numpy(zero_copy_only=False).reshape(len(kept), -1)


def _components(name: str, sums: Sequence[list[Any]], dimensions: int) -> Any:
    """The eigenvectors of the covariance with the largest eigenvalues, as columns."""
    import numpy as np

    if not sums:
        return np.empty((0, dimensions))
    width = len(sums[0][1])
    if dimensions > width:
        raise InvalidInputError(
            f"reduce_dim is {dimensions}, but the vectors of column '{name}' have {width} dimensions"
        )
    count = sum(one[0] for one in sums)
    mean = np.sum([np.asarray(one[1]) for one in sums], axis=0) / count
    outer = np.sum([np.asarray(one[2]) for one in sums], axis=0) / count
    _, vectors = np.linalg.eigh(outer - np.outer(mean, mean))
    chosen = vectors[:, ::-1][:, :dimensions]
    largest = chosen[np.abs(chosen).argmax(axis=0), np.arange(dimensions)]
    return chosen * np.where(largest < 0, -1.0, 1.0)
