"""From settings to stages: what reads which store, and whether the settings agree with the release."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from friesian_fast.errors import ConfigError
from friesian_fast.rank import RUNTIMES, Ranker
from friesian_fast.recall import IvfIndex
from friesian_fast.release.open import Release, sha256_of
from friesian_fast.store import Ids, RowBatch, Rows, RowStore
from friesian_fast.store.redis import RedisRowStore
from friesian_services.config import StoreConfig
from friesian_services.timers import Timers

_log = logging.getLogger(__name__)

# Before the kind of row, in the original's second feature service; here the kind itself is called 2tower_user.
_VECTOR_PREFIX = "2tower_"


def open_store(release: Release, name: str, config: StoreConfig, client: Any = None) -> RowStore:
    """The rows of one row set, from Redis where the settings name one."""
    server = config.redis
    if server is None:
        return release.row_store(name)
    prefix = f"{release.id}:" if config.redis_key_prefix is None else config.redis_key_prefix
    return RedisRowStore(
        client or server.connect(),
        server,
        release.spec.row_set(name),
        release.spec.row_tag(name),
        prefix.removesuffix(_VECTOR_PREFIX),
    )


def open_stores(release: Release, row_sets: tuple[str, ...], config: StoreConfig) -> dict[str, RowStore]:
    """Several, over one connection."""
    client = None if config.redis is None else config.redis.connect()
    return {name: open_store(release, name, config, client) for name in row_sets}


def open_index(release: Release) -> IvfIndex:
    """The item index with the table of its ids, which the first request with a filter would wait for."""
    index = release.index()
    index.positions([])
    return index


def served_row_sets(config: StoreConfig, vectors: bool) -> tuple[str, ...]:
    """What a feature service holds; the original told its two apart by the prefix alone."""
    if vectors or (config.redis_key_prefix or "").endswith(_VECTOR_PREFIX):
        return ("user_vector",)
    return ("user", "item")


class TimedStore:
    """A row store in this process, timed as its service would be."""

    def __init__(self, store: RowStore, timers: Timers) -> None:
        self._store = store
        self._timer = timers.timer("feature.overall", f"feature.{store.row_set.name.partition('_')[0]}.redis")
        self.row_set = store.row_set

    def decode(self, ids: Ids) -> Rows:
        """The rows, decoded."""
        with self._timer:
            return self._store.decode(ids)

    def find(self, ids: Ids) -> RowBatch:
        """The rows, still packed."""
        with self._timer:
            return self._store.find(ids)

    def get(self, ids: Ids) -> list[bytes | None]:
        """The packed rows."""
        with self._timer:
            return self._store.get(ids)

    def close(self) -> None:
        """Close the store behind."""
        self._store.close()


class TimedRanker:
    """A ranker in this process, timed as its service would be."""

    def __init__(self, ranker: Ranker, timers: Timers) -> None:
        self._ranker = ranker
        self._timer = timers.timer("ranking.overall", "ranking.inference")

    def score(self, inputs: Any, shown: int | None = None) -> Any:
        """One score for each row."""
        with self._timer:
            return self._ranker.score(inputs, shown)


def open_ranker(release: Release) -> Ranker:
    """The release's ranker, one thread a call: requests already run beside each other."""
    return release.ranker()


def rows_per_call(release: Release, batch: int) -> int:
    """`inferenceBatch`, or 0 and a warning where calls for parts of a request would give other scores than one call."""
    runtime = release.manifest.ranker.runtime
    if batch and not (runtime in RUNTIMES and RUNTIMES[runtime].by_row):
        _log.warning(
            "inferenceBatch: %d is not used: the ranker of release %s runs on %s, where a score depends on the rows "
            "that are scored with it, so a request is ranked in one call",
            batch,
            release.id,
            runtime,
        )
        return 0
    return batch


def check_model_path(release: Release, path: Path | None) -> None:
    """`modelPath` may be the model or a directory that holds it; either way it must be the release's."""
    if path is not None:
        _check_file(release, "modelPath", path / "ranker.onnx" if path.is_dir() else path, release.manifest.ranker.file)


def check_index(release: Release, path: Path | None, dim: int | None) -> None:
    """`indexPath` and `indexDim` must be the release's."""
    index = release.manifest.index
    if dim is not None and dim != index.dim:
        raise ConfigError(f"indexDim is {dim}, but the index of release {release.id} has {index.dim}; remove the key")
    if path is not None:
        _check_file(release, "indexPath", path, index.layout if path.suffix == ".ivf" else index.file)


def check_columns(release: Release, columns: str | list[str] | None) -> None:
    """`inferenceColumns` must be the model's inputs or their columns, in order."""
    if columns is None:
        return
    given = [name.strip() for name in (columns.split(",") if isinstance(columns, str) else columns)]
    inputs = release.spec.model_inputs
    if given not in ([value.name for value in inputs], [value.column for value in inputs]):
        raise ConfigError(
            f"inferenceColumns are {', '.join(given)}, but the model of release {release.id} takes "
            f"{', '.join(value.column for value in inputs)}; remove the key"
        )


def _check_file(release: Release, key: str, path: Path, name: str) -> None:
    if not path.is_file():
        raise ConfigError(f"{key} is {path}, where there is no file; remove the key: the release has {name}")
    if sha256_of(path) != release.manifest.files[name].sha256:
        raise ConfigError(f"{key} is {path}, which is not the {name} of release {release.id}; remove the key")
