import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from friesian_fast.errors import ConfigError, FriesianError, NotFoundError
from friesian_services.config import (
    AllConfig,
    FeatureConfig,
    FeatureRecallConfig,
    RankingConfig,
    RecallConfig,
    RecommenderConfig,
    load_config,
)

# The original's shipped files, as they are, but for the release.
ORIGINAL = {
    FeatureConfig: "serviceType: kv\nredisKeyPrefix:\nlogInterval: 2\n",
    FeatureRecallConfig: "servicePort: 8085\nserviceType: kv\nredisKeyPrefix: 2tower_\nlogInterval: 2\n",
    RecallConfig: "indexPath: ./mnt/item_128.idx\nfeatureServiceURL: localhost:8085\n",
    RankingConfig: "modelPath: ./mnt/recsys_wnd\nmodelParallelism: 4\nsavedModelInputs: serving_default_input_1:0\n",
    RecommenderConfig: (
        "inferenceColumns: engaged_with_user_is_verified, is_verified\ninferenceBatch: 0\nitemIDColumn: tweet_id\n"
        "recallServiceURL: localhost:8084\nfeatureServiceURL: localhost:8082\nrankingServiceURL: localhost:8083\n"
    ),
}


@pytest.fixture
def load(tmp_path):
    def run(kind, text="", **flags):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return load_config(kind, path, {"release_path": "r", **flags})

    return run


@pytest.mark.parametrize("kind", list(ORIGINAL), ids=lambda kind: kind.__name__)
def test_the_originals_files_are_taken(load, kind):
    load(kind, ORIGINAL[kind])


@pytest.mark.parametrize(
    ("kind", "port"),
    [
        (FeatureConfig, 8082),
        (RankingConfig, 8083),
        (RecallConfig, 8084),
        (FeatureRecallConfig, 8085),
        (RecommenderConfig, 8980),
        (AllConfig, 8980),
    ],
)
def test_the_originals_ports(load, kind, port):
    assert load(kind).port == port
    assert load(kind, "servicePort: -1").port == port
    assert load(kind, "servicePort: 0").port == 0
    if kind in (RecommenderConfig, AllConfig):
        assert load(kind).http_port == 8000


def test_keys_are_read_in_any_case(load):
    settings = load(RecallConfig, "SERVICEPORT: 1234\nfeatureserviceurl: a:1\nIndexDim: 16\nRELEASEpath: elsewhere")
    assert (settings.port, settings.feature_service_url, settings.index_dim) == (1234, "a:1", 16)
    assert load(FeatureConfig, "redisUrl: h:1").redis.urls == ["redis://h:1"]


def test_the_environment_wins_over_the_file_and_flags_over_both(load, monkeypatch):
    text = "servicePort: 1\nlogInterval: 1\nhost: file"
    monkeypatch.setenv("FRIESIAN_SERVICEPORT", "2")
    monkeypatch.setenv("FRIESIAN_LOG_INTERVAL", "2")
    monkeypatch.setenv("FRIESIAN_SIMD_LEVEL", "scalar")
    settings = load(RankingConfig, text, service_port=3, log_interval=None)
    assert (settings.service_port, settings.log_interval, settings.host) == (3, 2, "file")


def test_keys_that_nothing_uses_are_warned_about(load, caplog):
    with caplog.at_level(logging.WARNING):
        load(RecallConfig, "redisMaxMemory: 4g\nthreadPerModel: 2")
    assert "key 'redisMaxMemory' is accepted, but nothing here uses it" in caplog.text
    assert "threadPerModel" in caplog.text


def test_services_may_share_a_file(load):
    text = "httpPort: 0\ncompatStatus: true\nmodelParallelism: 3\nmonitorPort: 0\n"
    assert load(RankingConfig, text).calls_at_once == 3
    assert load(RecommenderConfig, text).compat_status
    assert load(FeatureConfig, text).redis is None


@pytest.mark.parametrize(
    "text", ["redisUrl: ['redis://:s3cret@h']", "redisUrl: 'redis://:s3cret@h", "redisUrl: {s3cret: 1}"]
)
def test_messages_do_not_repeat_passwords(load, text):
    with pytest.raises(ConfigError) as caught:
        load(FeatureConfig, text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (RecallConfig, "indexpaht: x", "unknown key 'indexpaht'; known here are .*releasePath, .*indexPath"),
        (RecallConfig, "servicePort: many", "key 'servicePort' of .*config.yaml is 'many'"),
        (RecallConfig, "servicePort: 65536", "key 'servicePort'.* is 65536"),
        (RecallConfig, "- a\n- b", "must hold keys and values, not list"),
        (RecallConfig, "a: [", "cannot be read as YAML"),
        (FeatureConfig, "serviceType: kv, inference", "only kv is offered"),
        (FeatureConfig, "redisType: ring", "key 'redisType'.*'ring'"),
        (FeatureConfig, "redisClusterItemSlotType: 3", "key 'redisClusterItemSlotType'"),
        (RankingConfig, "modelParallelism: 0", "key 'modelParallelism'"),
        (RecommenderConfig, "inferenceBatch: -1", "key 'inferenceBatch'"),
    ],
)
def test_what_is_refused(load, kind, text, message):
    with pytest.raises(ConfigError, match=message):
        load(kind, text)


def test_a_refused_value_says_where_it_came_from(load, monkeypatch):
    with pytest.raises(ConfigError, match="flag --service-port is 70000"):
        load(RecallConfig, service_port=70_000)
    monkeypatch.setenv("FRIESIAN_MONITORPORT", "x")
    with pytest.raises(ConfigError, match="environment variable FRIESIAN_MONITORPORT is 'x'"):
        load(RecallConfig)


def test_the_release_must_be_named(tmp_path):
    (tmp_path / "c.yaml").write_text("servicePort: 1")
    with pytest.raises(ConfigError, match="releasePath is missing: set it in .*c.yaml"):
        load_config(RecallConfig, tmp_path / "c.yaml", {})
    with pytest.raises(ConfigError, match="releasePath is missing"):
        load_config(RecallConfig, None, {"release_path": None})


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(NotFoundError, match="no configuration at .*gone.yaml"):
        load_config(RecallConfig, tmp_path / "gone.yaml", {})


def test_settings_are_frozen(load):
    settings = load(RecallConfig)
    assert settings.release_path == Path("r")
    with pytest.raises(ValidationError):
        settings.index_dim = 3


def test_workers_of_ranking(load):
    assert load(RankingConfig).calls_at_once == 8
    assert load(RankingConfig, "modelParallelism: 3").calls_at_once == 3
    assert load(RankingConfig, "modelParallelism: 3\ncoreNumberPerMachine: 5").calls_at_once == 5


def test_redis_by_settings(load):
    assert load(FeatureConfig).redis is None
    sentinel = load(FeatureConfig, "redisType: sentinel\nredisSentinelMasterName: m\nredisSentinelMasterURL: s:1").redis
    assert (sentinel.kind, sentinel.urls) == ("sentinel", ["redis://s:1"])
    with pytest.raises(FriesianError, match="redisSentinelMasterName"):
        _ = load(FeatureConfig, "redisType: sentinel").redis
