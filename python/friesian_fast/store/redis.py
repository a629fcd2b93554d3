"""Packed rows in Redis: one value per row, read with one MGET per request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import ConfigError, MissingExtraError, NotFoundError, SchemaMismatchError, UnavailableError
from friesian_fast.spec import FeatureSpec, RowSet
from friesian_fast.store.base import Ids, normal_ids
from friesian_fast.store.codec import RowBatch, RowCodec, Rows

# The original's key names. The item vectors live in the index only.
KINDS = {"user": "user", "item": "item", "user_vector": "2tower_user"}

_TIMEOUT_S = 5.0
_ROWS_PER_MSET = 500
_MSETS_PER_TRIP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """Where Redis is and how it is set up.

    Parameters
    ----------
    url : str
        ``host:port`` or ``redis://``, ``rediss://`` (TLS), ``unix://`` with user, password and database as in redis-py;
        of a cluster a comma list of them.
    kind : {"standalone", "sentinel", "cluster"}
    sentinel_master, sentinel_url : str
        With sentinel: the master's name, and the sentinels, as a comma list.
    item_slot_type : {0, 1, 2}
        With cluster: 1 keeps all items in one slot, 2 spreads them over ten by the id's last character.
    """

    url: str = "localhost:6379"
    kind: Literal["standalone", "sentinel", "cluster"] = "standalone"
    sentinel_master: str | None = None
    sentinel_url: str = "localhost:26379"
    item_slot_type: Literal[0, 1, 2] = 0

    def __post_init__(self) -> None:
        if self.kind == "sentinel" and not self.sentinel_master:
            raise ConfigError("redisType is sentinel, so redisSentinelMasterName must name the master")
        for url in self.urls:
            _split(url)

    @property
    def urls(self) -> list[str]:
        """The nodes, each with a scheme."""
        nodes = self.sentinel_url if self.kind == "sentinel" else self.url
        return [url if "://" in url else f"redis://{url}" for url in (part.strip() for part in nodes.split(","))]

    @property
    def shown(self) -> str:
        """The nodes as they may be printed: without passwords."""
        return ", ".join(_without_password(url) for url in self.urls)

    def connect(self) -> Any:
        """A client that has reached the server.

        Raises
        ------
        UnavailableError
            If it cannot be reached.
        ConfigError
            If a URL has options that redis-py does not take.
        """
        redis = _redis()
        with reachable(self):
            try:
                client = self._client(redis)
                client.ping()
            except (ValueError, TypeError) as error:  # redis-py's, of an option after the `?` of a URL
                raise ConfigError(
                    f"the options in the URL of Redis at {self.shown} are not accepted: {error}"
                ) from error
        return client

    def _client(self, redis: Any) -> Any:
        timeouts: dict[str, Any] = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S}
        if self.kind == "cluster":
            first = _split(self.urls[0])
            nodes = [redis.cluster.ClusterNode(part.hostname, part.port or 6379) for part in map(_split, self.urls)]
            return redis.RedisCluster(
                startup_nodes=nodes,
                username=first.username,
                password=first.password,
                ssl=first.scheme == "rediss",
                **timeouts,
            )
        # One more try, for a connection that was closed while idle; more would keep the caller from its fallback.
        timeouts["retry"] = redis.retry.Retry(redis.backoff.NoBackoff(), 1)
        if self.kind == "sentinel":
            login = _split(self.url if "://" in self.url else f"redis://{self.url}")
            sentinels = [(part.hostname, part.port or 26379) for part in map(_split, self.urls)]
            sentinel = redis.sentinel.Sentinel(sentinels, **timeouts)
            return sentinel.master_for(
                self.sentinel_master,
                username=login.username,
                password=login.password,
                ssl=login.scheme == "rediss",
                **timeouts,
            )
        return redis.Redis.from_url(self.urls[0], **timeouts)


class RedisRowStore:
    """The rows of one row set under one prefix; safe to use from many threads at once.

    Parameters
    ----------
    client
        What `RedisServer.connect` gives; the store does not close it.
    server : RedisServer
    row_set : RowSet
    tag : bytes
        The row tag of the release; a row of another one is refused.
    prefix : str

    Raises
    ------
    NotFoundError
        If no release is loaded under the prefix.
    SchemaMismatchError
        If the one that is there has other columns.
    """

    def __init__(self, client: Any, server: RedisServer, row_set: RowSet, tag: bytes, prefix: str) -> None:
        self._client = client
        self._server = server
        self._codec = RowCodec(row_set, tag)
        self._keys = _key_maker(server, row_set.name, prefix)
        self.row_set = row_set
        schema = _schema_key(row_set.name, prefix)
        with reachable(server):
            there = client.get(schema)
        if there is None:
            raise NotFoundError(
                f"Redis at {server.shown} has no key '{schema}': load the release with `friesian load-redis`, or set "
                "redisKeyPrefix to the prefix it was loaded under"
            )
        if there.decode() != (wanted := _schema_value(row_set)):
            raise SchemaMismatchError(
                f"Redis at {server.shown} has the columns '{there.decode()}' under '{schema}', but the release has "
                f"'{wanted}'; load this release with `friesian load-redis`"
            )

    def get(self, ids: Ids) -> list[bytes | None]:
        """The packed rows, None where there is none."""
        keys = self._keys(_plain(normal_ids(ids, self.row_set)))
        if not keys:
            return []
        with reachable(self._server):
            if self._server.kind == "cluster":
                rows: list[bytes | None] = self._client.mget_nonatomic(keys)
            else:
                rows = self._client.mget(keys)
        return rows

    def decode(self, ids: Ids) -> Rows:
        """The rows, decoded; see `RowCodec.decode`."""
        return self._codec.decode(self.get(ids), ids=ids)

    def find(self, ids: Ids) -> RowBatch:
        """The rows, still packed."""
        return RowBatch(self.get(ids), ids)

    def close(self) -> None:
        """Nothing: the client belongs to whoever connected."""


class ListedStore(Protocol):
    """A mapped store whose ids can be listed."""

    row_set: RowSet

    def ids(self) -> NDArray[np.int64] | list[str]:
        """All ids."""
        ...

    def get(self, ids: Ids) -> list[bytes | None]:
        """The packed rows."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class ReleaseRows(Protocol):
    """What `load_redis` takes of a release."""

    @property
    def spec(self) -> FeatureSpec: ...

    def row_store(self, name: str) -> Any: ...


def load_redis(
    release: ReleaseRows,
    server: RedisServer,
    prefix: str,
    progress: Callable[[int], object] = lambda rows: None,
) -> int:
    """Write a release's rows under a prefix.

    The schema keys are removed first and written last, so that no server takes half a release.

    Parameters
    ----------
    release : Release
    server : RedisServer
    prefix : str
        The release's id and a colon by custom; ``""`` is the original's layout.
    progress : callable, optional
        Called with the number of rows written so far.

    Returns
    -------
    int
        How many keys were written, the three schema keys included.

    Raises
    ------
    UnavailableError
        If Redis cannot be reached or refuses, such as when it is out of memory.
    """
    written = 0
    with closing(server.connect()) as client, reachable(server):
        for name in KINDS:
            client.delete(_schema_key(name, prefix))
        for name in KINDS:
            for count in _load_rows(client, server, release.row_store(name), prefix):
                written += count
                progress(written)
        for name in KINDS:
            client.set(_schema_key(name, prefix), _schema_value(release.spec.row_set(name)))
    return written + len(KINDS)


def _load_rows(client: Any, server: RedisServer, store: ListedStore, prefix: str) -> Iterator[int]:
    """Batches of bounded size, a few on the way at once: a value that is being written waits for no other."""
    make_keys = _key_maker(server, store.row_set.name, prefix)
    ids = store.ids()
    for trip in _slices(len(ids), _ROWS_PER_MSET * _MSETS_PER_TRIP):
        plain = _plain(ids[trip])
        rows = dict(zip(make_keys(plain), store.get(ids[trip]), strict=True))
        if server.kind == "cluster":
            client.mset_nonatomic(rows)
        else:
            pairs = list(rows.items())
            pipeline = client.pipeline(transaction=False)
            for part in _slices(len(pairs), _ROWS_PER_MSET):
                pipeline.mset(dict(pairs[part]))
            pipeline.execute()
        yield len(rows)
    store.close()


@contextmanager
def reachable(server: RedisServer) -> Iterator[None]:
    """Turns redis-py's errors into one that names the server and never the password."""
    redis = _redis()
    try:
        yield
    except redis.exceptions.AuthenticationError as error:
        raise UnavailableError(f"Redis at {server.shown} refuses the login; check the password in redisUrl") from error
    except (redis.exceptions.RedisError, OSError) as error:
        raise UnavailableError(
            f"Redis at {server.shown} does not answer ({type(error).__name__}: {error}); "
            "is it running, and is redisUrl right?"
        ) from error


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("redis", "rediss", "unix") and (
            parts.path if parts.scheme == "unix" else parts.hostname
        )
        parts.port  # noqa: B018 -- raises on a port that is no number
    except ValueError:
        valid = None
    if not valid:
        raise ConfigError(
            f"{_without_password(url)} is no address of Redis; use host:port or redis://, rediss:// or unix:// URLs"
        )
    return parts


def _without_password(url: str) -> str:
    # Options may hold a password too; and where an `@` follows the `?`, either sign may be part of one.
    bare, _, options = url.partition("?")
    if "@" in options:
        return f"{url.partition('://')[0]}://***"
    login, at, rest = bare.rpartition("@")
    if not at:
        return bare
    scheme, _, login = login.rpartition("://")
    return f"{scheme}://{login.partition(':')[0]}:***@{rest}"


def _redis() -> Any:
    try:
        import redis
    except ImportError as error:
        raise MissingExtraError("the Redis feature store", "redis") from error
    return redis


def _key_maker(server: RedisServer, name: str, prefix: str) -> Callable[[Iterable[int | str]], list[str]]:
    """Of all ids at once: a call for each would take a tenth of the time that Redis takes."""
    slot_type = server.item_slot_type if server.kind == "cluster" and name == "item" else 0
    kind = _kind(name)
    if slot_type == 2:
        return lambda ids: [f"{{{prefix}{kind}{str(value)[-1:]}}}:{value}" for value in ids]
    head = f"{prefix}{{{kind}}}:" if slot_type == 1 else f"{prefix}{kind}:"
    return lambda ids: [f"{head}{value}" for value in ids]


def _kind(name: str) -> str:
    if name not in KINDS:
        raise NotFoundError(f"row set '{name}' is not kept in Redis; those that are: {', '.join(KINDS)}")
    return KINDS[name]


def _schema_key(name: str, prefix: str) -> str:
    return f"{prefix}{_kind(name)}"


def _schema_value(row_set: RowSet) -> str:
    return ",".join(column.name for column in row_set.columns)


def _plain(ids: NDArray[np.int64] | list[str]) -> Iterable[int | str]:
    return ids if isinstance(ids, list) else ids.tolist()


def _slices(count: int, size: int) -> Iterator[slice]:
    for begin in range(0, count, size):
        yield slice(begin, begin + size)
