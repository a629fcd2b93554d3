"""The original's own checks, on the original's size of data."""

import json
import subprocess
import sys

import faiss
import pytest
import redis

from friesian_fast.release.open import open_release

pytestmark = pytest.mark.slow


def test_keyspace_holds_the_walkthroughs_500003_keys(walkthrough_home, redis_server):
    client = redis.Redis.from_url(f"redis://{redis_server.address}")
    client.flushall()
    command = ["load-redis", "--releases", "releases", "--url", redis_server.address, "--prefix", ""]
    subprocess.run([sys.executable, "-m", "friesian_fast.cli", *command], cwd=walkthrough_home, check=True)
    assert client.info("keyspace")["db0"]["keys"] == 500_003
    assert client.get("2tower_user") == b"embedding"
    assert client.get("user") == b"follower_count,following_count,is_verified"
    assert len(client.get("item").split(b",")) == 13


def test_the_index_is_a_standard_faiss_file(walkthrough_home):
    release = open_release(walkthrough_home / "releases")
    index = faiss.read_index(str(release.path / "index" / "item_128.idx"))
    assert (index.ntotal, index.d) == (100_000, 128)


def test_noise_teaches_nothing(walkthrough_home):
    metrics = json.loads((walkthrough_home / "recsys_wnd" / "ranker.json").read_text())["metrics"]
    assert metrics["val_auc"] == pytest.approx(0.5, abs=0.03)
