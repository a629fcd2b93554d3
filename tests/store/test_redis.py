import re
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest
import redis
from tests.services import tiny_release
from tests.services.processes import RedisProcess, failing, free_port, redis_program
from tests.services.tiny_release import ITEMS, UNKNOWN_USER, USERS, item_id, user_id

from friesian_fast.errors import ConfigError, InvalidInputError, NotFoundError, SchemaMismatchError, UnavailableError
from friesian_fast.recommend import Recommender, RulesStage, open_recall, untimed
from friesian_fast.release.open import open_release
from friesian_fast.store.redis import KINDS, RedisRowStore, RedisServer, load_redis

KEYS = USERS + ITEMS + (USERS - 1) + 3


@pytest.fixture(scope="module")
def release(releases):
    return open_release(releases)


@pytest.fixture
def client(redis_server):
    client = redis.Redis(port=redis_server.port)
    client.flushall()
    yield client
    client.close()


def opened(release, server, name="item", prefix="p:"):
    row_set = release.spec.row_set(name)
    return RedisRowStore(server.connect(), server, row_set, release.spec.row_tag(name), prefix)


def same_rows(release, store, ids):
    mapped = release.row_store(store.row_set.name)
    assert store.get(ids) == mapped.get(ids)
    got, wanted = store.decode(ids), mapped.decode(ids)
    np.testing.assert_array_equal(got.found, wanted.found)
    for name, column in wanted.columns.items():
        np.testing.assert_array_equal(got.columns[name], column)


@pytest.mark.parametrize("name", list(KINDS))
def test_the_same_rows_as_the_mapped_store(release, redis_server, client, name):
    server = RedisServer(url=redis_server.address)
    load_redis(release, server, "p:")
    store = opened(release, server, name)
    make = item_id if name == "item" else user_id
    same_rows(release, store, np.array([make(3), 5_000_000, make(0), make(3), -1]))
    same_rows(release, store, np.empty(0, np.int64))


def test_string_ids(string_releases, redis_server, client):
    release, server = open_release(string_releases), RedisServer(url=redis_server.address)
    load_redis(release, server, "p:")
    same_rows(release, opened(release, server), [item_id(1, True), "gone", item_id(7, True)])


def test_the_original_layout(release, redis_server, client):
    """Every key of prefix "" and nothing else: one for each row, and three schema keys."""
    seen = []
    assert load_redis(release, RedisServer(url=redis_server.address), "", seen.append) == KEYS
    assert client.dbsize() == KEYS
    assert seen == sorted(seen)
    assert seen[-1] == KEYS - 3
    assert client.get("user") == b"age,spend"
    assert client.get("item") == b"price,tags,genre"
    assert client.get("2tower_user") == b"embedding"
    wanted = {"user", "item", "2tower_user"} | {f"item:{item_id(n)}" for n in range(ITEMS)}
    wanted |= {f"user:{user_id(n)}" for n in range(USERS)} | {f"2tower_user:{user_id(n)}" for n in range(USERS - 1)}
    assert {key.decode() for key in client.keys("*")} == wanted
    assert client.get(f"item:{item_id(0)}")[:8] == release.spec.row_tag("item")


def test_a_prefix_is_a_world_of_its_own(release, redis_server, client):
    server = RedisServer(url=redis_server.address)
    load_redis(release, server, f"{release.id}:")
    assert all(key.startswith(release.id.encode()) for key in client.keys("*"))
    with pytest.raises(NotFoundError, match="no key 'other:item'.*load-redis"):
        opened(release, server, prefix="other:")


def test_other_columns_are_refused(release, redis_server, client):
    server = RedisServer(url=redis_server.address)
    client.set("p:item", "price,colour")
    with pytest.raises(SchemaMismatchError, match="has the columns 'price,colour' under 'p:item'"):
        opened(release, server)


def test_rows_of_another_release_are_refused(release, redis_server, client):
    server = RedisServer(url=redis_server.address)
    load_redis(release, server, "p:")
    client.set(f"p:item:{item_id(2)}", b"othertag" + client.get(f"p:item:{item_id(2)}")[8:])
    with pytest.raises(SchemaMismatchError, match=str(item_id(2))):
        opened(release, server).decode(np.array([item_id(1), item_id(2)]))


def test_a_flipped_bit_is_found(release, redis_server, client):
    """In a value of Redis itself: an error that names the row, or a fallback that gives it as the reason."""
    server = RedisServer(url=redis_server.address)
    load_redis(release, server, "p:")
    key, bit = f"p:user:{user_id(2)}", 8 * 24 + 5  # a number, which any other could be
    client.setbit(key, bit, 1 - client.getbit(key, bit))
    said = rf"row 0 \(id {user_id(2)}\): its checksum does not match; the value was altered: load it again"
    users = opened(release, server, "user")
    with pytest.raises(InvalidInputError, match=said):
        users.decode(np.array([user_id(2)]))
    stages = {"users": users, "items": release.row_store("item"), "ranker": release.ranker()}
    index, rules = release.index(), RulesStage.of(release)
    recall = open_recall(release, index, release.row_store("user_vector"), untimed, rules)
    with closing(Recommender(release, **stages, recall=recall, rules=rules)) as recommender:
        assert re.search(said, recommender.recommend(user_id(2), k=5).fallback)
        assert recommender.recommend(user_id(1), k=5).fallback is None


def test_item_vectors_are_not_kept(release, redis_server):
    with pytest.raises(NotFoundError, match="row set 'item_vector' is not kept in Redis"):
        opened(release, RedisServer(url=redis_server.address), "item_vector")


def test_ids_of_the_wrong_type(release, redis_server, client):
    server = RedisServer(url=redis_server.address)
    load_redis(release, server, "p:")
    with pytest.raises(InvalidInputError, match="ids of row set 'item' are int64"):
        opened(release, server).decode(["1000"])


def test_a_server_that_is_not_there(release):
    server = RedisServer(url=f"redis://me:secret@127.0.0.1:{free_port()}/0")
    with pytest.raises(UnavailableError, match="Redis at redis://me:\\*\\*\\*@127.0.0.1.*does not answer") as caught:
        load_redis(release, server, "p:")
    assert "secret" not in str(caught.value)


def test_a_server_that_goes_away(release, tmp_path):
    process = RedisProcess(tmp_path)
    server = RedisServer(url=process.address)
    load_redis(release, server, "p:")
    store = opened(release, server)
    process.stop()
    with pytest.raises(UnavailableError, match=f"Redis at redis://{process.address} does not answer"):
        store.decode(np.array([item_id(1)]))


def test_a_load_that_fails_leaves_no_schema(release, tmp_path):
    """Redis runs out of memory half-way: no server takes what is there."""
    process = RedisProcess(tmp_path, "--maxmemory", "1mb")
    try:
        server = RedisServer(url=process.address)
        with pytest.raises(UnavailableError, match="OutOfMemory|OOM"):
            load_redis(release, server, "p:")
        with pytest.raises(NotFoundError):
            opened(release, server, "user")
    finally:
        process.stop()


def test_passwords(release, tmp_path):
    process = RedisProcess(tmp_path, "--requirepass", "s3cret")
    try:
        load_redis(release, RedisServer(url=f"redis://:s3cret@{process.address}"), "p:")
        same_rows(
            release, opened(release, RedisServer(url=f"redis://:s3cret@{process.address}")), np.array([item_id(1)])
        )
        for url in (process.address, f"redis://:wrong-one@{process.address}"):
            with pytest.raises(UnavailableError, match="refuses the login") as caught:
                RedisServer(url=url).connect()
            assert "wrong-one" not in str(caught.value)
    finally:
        process.stop()


def test_unix_sockets(release, tmp_path):
    path = tmp_path / "redis.sock"
    process = RedisProcess(tmp_path / "data", "--unixsocket", str(path))
    try:
        server = RedisServer(url=f"unix://{path}")
        load_redis(release, server, "p:")
        same_rows(release, opened(release, server), np.array([item_id(1)]))
    finally:
        process.stop()


def test_sentinel(release, tmp_path):
    master = RedisProcess(tmp_path / "master")
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"sentinel monitor mymaster 127.0.0.1 {master.port} 1\n")
    port = free_port()
    command = [redis_program(), str(configuration), "--sentinel", "--port", str(port), "--dir", str(tmp_path)]
    sentinel = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        server = RedisServer(kind="sentinel", sentinel_master="mymaster", sentinel_url=f"127.0.0.1:{port}")
        wait_for(server)
        load_redis(release, server, "p:")
        same_rows(release, opened(release, server), np.array([item_id(1), 4]))
        unknown = RedisServer(kind="sentinel", sentinel_master="other", sentinel_url=f"127.0.0.1:{port}")
        with pytest.raises(UnavailableError, match="No master found for 'other'"):
            unknown.connect()
    finally:
        sentinel.terminate()
        sentinel.wait(20)
        master.stop()


@pytest.mark.parametrize(
    ("slot_type", "key"),
    [(0, f"p:item:{item_id(1)}"), (1, f"p:{{item}}:{item_id(1)}"), (2, f"{{p:item7}}:{item_id(1)}")],
)
def test_cluster(release, tmp_path, slot_type, key):
    """A cluster of one node; rows of one request lie in many slots."""
    process = RedisProcess(tmp_path, "--cluster-enabled", "yes")
    try:
        client = redis.Redis(port=process.port)
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        server = RedisServer(url=process.address, kind="cluster", item_slot_type=slot_type)
        until = time.monotonic() + 30
        while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < until, "the cluster does not come up"
            time.sleep(0.05)
        assert load_redis(release, server, "p:") == KEYS
        assert client.exists(key)
        same_rows(release, opened(release, server), np.array([item_id(n) for n in range(50)]))
        same_rows(release, opened(release, server, "user_vector"), np.array([user_id(1), UNKNOWN_USER]))
        client.close()
    finally:
        process.stop()


def wait_for(server):
    """A sentinel and a cluster take a moment after they answer a ping."""
    for _ in range(200):
        try:
            server.connect().set("probe", "1")
        except UnavailableError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{server.shown} does not come up")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://localhost:6379"}, "http://localhost:6379 is no address"),
        ({"url": "http://me:secret@localhost"}, "http://me:\\*\\*\\*@localhost is no address"),
        ({"url": "localhost:port"}, "is no address of Redis"),
        ({"url": ""}, "is no address of Redis"),
        ({"kind": "sentinel"}, "redisSentinelMasterName must name"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        RedisServer(**settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:1?password=s3cret", "redis://localhost:1"),
        ("redis://me:s3cret@localhost:1/2?health_check_interval=3", "redis://me:***@localhost:1/2"),
        ("redis://localhost:1?password=s3@cret", "redis://***"),
        ("redis://:s3?cret@localhost:1", "redis://***"),
    ],
)
def test_addresses_are_shown_without_passwords(url, shown):
    try:
        said = RedisServer(url=url).shown
    except ConfigError as error:
        said = str(error)
    assert "cret" not in said
    assert shown in said


def test_options_that_redis_does_not_know():
    for option in ("socket_timeout=soon", "no_such_option=1"):
        with pytest.raises(ConfigError, match="options in the URL of Redis at redis://127.0.0.1:1 are not accepted"):
            RedisServer(url=f"redis://127.0.0.1:1?{option}").connect()


def test_the_command(releases, redis_server, client):
    done = subprocess.run(
        [*command(), "--releases", str(releases), "--url", redis_server.address, "--prefix", ""],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{KEYS:,} keys with prefix ''" in done.stdout
    assert client.dbsize() == KEYS


def command():
    return [sys.executable, "-m", "friesian_fast.cli", "load-redis"]


def test_the_command_without_a_server(releases):
    port = free_port()
    said = failing("load-redis", "--releases", releases, "--url", f"127.0.0.1:{port}")
    assert f"error: Redis at redis://127.0.0.1:{port} does not answer" in said


def test_the_command_without_a_release(tmp_path):
    assert "error: there is no release at" in failing("load-redis", "--releases", tmp_path / "gone")


def test_sizes_are_bounded(release, redis_server, client, monkeypatch):
    """Small batches give the same keys."""
    monkeypatch.setattr("friesian_fast.store.redis._ROWS_PER_MSET", 7)
    monkeypatch.setattr("friesian_fast.store.redis._MSETS_PER_TRIP", 3)
    seen = []
    assert load_redis(release, RedisServer(url=redis_server.address), "p:", seen.append) == KEYS
    assert max(np.diff(seen)) == 21
    assert len(client.keys("p:user:*")) == tiny_release.USERS
