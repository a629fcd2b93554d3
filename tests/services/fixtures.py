"""Fixtures that the tests of several online parts share."""

import pytest
from tests.services import tiny_release
from tests.services.processes import RedisProcess, Served


@pytest.fixture(scope="session")
def releases(tmp_path_factory):
    """Directory of releases with int64 ids."""
    return tiny_release.build(tmp_path_factory.mktemp("int64"))


@pytest.fixture(scope="session")
def string_releases(tmp_path_factory):
    """Directory of releases with string ids."""
    return tiny_release.build(tmp_path_factory.mktemp("string"), string_ids=True)


@pytest.fixture(scope="session")
def ruled_releases(tmp_path_factory):
    """Directory of releases with item columns and rules: seen items are hidden, one is denied, one pinned."""
    releases, _ = tiny_release.build_ruled(
        tmp_path_factory.mktemp("ruled"),
        hide_seen=True,
        deny=[tiny_release.item_id(3)],
        where={"col": "price", "lt": 0.9},
        pins=[{"id": tiny_release.item_id(77), "place": 1}],
    )
    return releases


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A standalone Redis."""
    server = RedisProcess(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def fused(releases, tmp_path_factory):
    """One process that serves everything."""
    log = tmp_path_factory.mktemp("fused") / "log"
    served = Served("all", "--releases", releases, "--http-port", 0, "--grpc-port", 0, last="release", log=log)
    yield served
    assert served.stop() == 0
