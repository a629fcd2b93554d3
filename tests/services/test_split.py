"""The five services as processes of their own: under a supervisor, and each by itself with the original's YAML."""

import json
import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
import numpy as np
import psutil
import pytest
from friesian_services._pb import (
    feature_pb2,
    feature_pb2_grpc,
    ranking_pb2,
    ranking_pb2_grpc,
    recall_pb2,
    recall_pb2_grpc,
)
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.services.processes import Served, failing
from tests.services.tiny_release import UNKNOWN_USER, expected_scores, item_id, user_id

from friesian_fast.recall import Filter
from friesian_fast.recommend import open_recommender
from friesian_fast.release.open import open_release
from friesian_fast.store.redis import RedisServer, load_redis
from friesian_services import wire

SERVICES = ("feature_recall", "feature", "ranking", "recall", "recommender")
PORTS = [text for name in ("grpc", "http", *SERVICES[:4]) for text in (f"--{name.replace('_', '-')}-port", 0)]


def split(releases, log, *flags):
    return Served("all", "--releases", releases, "--split", *PORTS, *flags, last="recommender", log=log)


@pytest.fixture(scope="module")
def monitor_port():
    """A free port before four others: below those that the system gives out, so that nobody takes them meanwhile."""
    for first in range(12_000 + os.getpid() % 1000 * 10, 32_000, 5):
        with ExitStack() as probes:
            try:
                for port in range(first, first + 5):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no five free ports in a row")


@pytest.fixture(scope="module")
def served(releases, tmp_path_factory, monitor_port):
    directory = tmp_path_factory.mktemp("split")
    (directory / "config.yaml").write_text(f"compatStatus: true\nhttpPort: 1\nmonitorPort: {monitor_port}\n")
    started = split(releases, directory / "log", "-c", directory / "config.yaml")
    yield started
    assert started.stop() == 0


@pytest.fixture
def channel(served):
    """Opens channels to services by name."""
    opened = []

    def to(name):
        opened.append(grpc.insecure_channel(served.grpc(name)))
        return opened[-1]

    yield to
    for one in opened:
        one.close()


def test_split_and_fused_answer_the_same(served, releases):
    direct = open_recommender(open_release(releases))
    with httpx.Client() as client:
        for user in [*(user_id(n) for n in range(0, 300, 13)), user_id(299), UNKNOWN_USER]:
            for k, candidates in ((10, 50), (3, 200)):
                wanted = direct.recommend(user, k=k, candidates=candidates)
                got = client.get(f"{served.http('recommender')}/recommender/recommend/{user}?k={k}&canK={candidates}")
                assert got.json()["ids"] == wanted.ids.tolist()
                assert np.array_equal(np.array(got.json()["probs"], np.float32), wanted.scores)
                assert got.json().get("fallback") == wanted.fallback


def test_filters_hold_in_five_processes_as_in_one(ruled_releases, tmp_path):
    """Over gRPC and HTTP: what the request leaves out and what the rules do, for users known and unknown."""
    direct = open_recommender(open_release(ruled_releases))
    popular = [item_id(n) for n in range(0, 60, 2)]
    served = split(ruled_releases, tmp_path / "log")
    try:
        with grpc.insecure_channel(served.grpc("recommender")) as channel, httpx.Client(timeout=30) as client:
            stub = v1_grpc.RecommenderStub(channel)
            for parts in (
                {"where": {"col": "genre", "in": [1, 5]}},
                {"where": {"col": "price", "lt": 0.2}, "deny": [item_id(n) for n in range(0, 500, 7)]},
                {"allow": popular, "seen": popular[:3]},
                {"allow": []},
            ):
                text = json.dumps(parts["where"]) if "where" in parts else None
                seen = [parts["seen"]] if "seen" in parts else None
                given = Filter(where=text, allow=parts.get("allow"), deny=parts.get("deny"), seen=seen)
                users = [user_id(4), user_id(7), UNKNOWN_USER]
                wanted = [direct.recommend(user, k=8, candidates=90, filter=given) for user in users]
                asked = v1.RecommendRequest(
                    users=wire.ids_to_message(np.array(users)),
                    k=8,
                    candidates=90,
                    filter=wire.filter_to_message(given, "int64"),
                )
                got = [list(one.ids.int64.values) for one in stub.Recommend(asked).recommendations]
                assert got == [one.ids.tolist() for one in wanted]
                for user, one in zip(users, wanted, strict=True):
                    path = f"{served.http('recommender')}/recommender/recommend/{user}?k=8&canK=90"
                    answer = client.post(path, json={"filter": parts}).json()
                    assert (answer["ids"], answer.get("fallback")) == (one.ids.tolist(), one.fallback)
            refused = client.post(path, json={"filter": {"where": {"col": "colour", "eq": 1}}})
            assert (refused.status_code, "no column 'colour'" in refused.json()["detail"]) == (400, True)
    finally:
        assert served.stop() == 0


def test_one_file_of_settings_is_for_all_five(served, monitor_port):
    refused = httpx.get(f"{served.http('recommender')}/recommender/recommend/1?k=0")
    assert (refused.status_code, refused.json()["errorCode"]) == (200, "INVALID_ARGUMENT")
    for port in range(monitor_port, monitor_port + 5):
        assert "grpc_server_started" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_client_metrics_are_the_services(served):
    httpx.get(f"{served.http('recommender')}/recommender/recommend/1")
    texts = [httpx.get(f"{served.http('recommender')}/recommender/clientMetrics").text for _ in range(2)]
    for name in (
        "indexing.overall",
        "indexing.feature",
        "feature.user.redis",
        "feature.item.redis",
        "ranking.inference",
    ):
        assert all(f'"{name}"' in text for text in texts)  # the first call has reset nothing


def test_recall_speaks_both_protos(channel, releases):
    recall = recall_pb2_grpc.RecallStub(channel("recall"))
    found = recall.searchCandidates(recall_pb2.Query(userID=user_id(4), k=20))
    users = v1.Ids(int64=v1.Int64s(values=[user_id(4)]))
    reply = v1_grpc.RecallStub(channel("recall")).SearchCandidates(v1.CandidatesRequest(user=users, k=20))
    assert list(found.candidate) == list(reply.ids.int64.values)
    assert len(found.candidate) == 20
    assert reply.user_found
    assert reply.release_id == open_release(releases).id
    stranger = v1.CandidatesRequest(user=v1.Ids(int64=v1.Int64s(values=[UNKNOWN_USER])), k=20)
    assert not v1_grpc.RecallStub(channel("recall")).SearchCandidates(stranger).user_found


def test_feature_services_hold_their_row_sets(channel, releases):
    release = open_release(releases)
    for service, name, ids in (
        ("feature", "item", [item_id(3), 1, item_id(0)]),
        ("feature", "user", [user_id(3)]),
        ("feature_recall", "user_vector", [user_id(3), UNKNOWN_USER]),
    ):
        request = v1.RowsRequest(row_set=name, ids=v1.Ids(int64=v1.Int64s(values=ids)))
        reply = v1_grpc.FeatureStub(channel(service)).GetRows(request)
        assert [row or None for row in reply.rows] == release.row_store(name).get(np.array(ids))


def test_ranking_scores_tensors(channel):
    inputs = {
        "user_age": np.array([3, 4], np.int32),
        "price": np.array([0.5, 0.25], np.float32),
        "tags": np.array([[1, 2, 3], [0, 0, 0]], np.int32),
        "spend": np.array([1, 2], np.float32),
        "genre": np.array([7, 8], np.int32),
    }
    request = v1.PredictRequest(inputs=wire.tensors_to_messages(inputs))
    scores = wire.floats_from_bytes(v1_grpc.RankingStub(channel("ranking")).Predict(request).scores, 2)
    wanted = expected_scores(inputs["user_age"], inputs["spend"], inputs["price"], inputs["tags"], inputs["genre"])
    np.testing.assert_allclose(scores, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("service", "call", "code", "text"),
    [
        (
            "feature",
            lambda c: feature_pb2_grpc.FeatureStub(c).getUserFeatures(feature_pb2.IDs(ID=[1])),
            "UNIMPLEMENTED",
            "friesian.v1.Feature/GetRows",
        ),
        (
            "feature",
            lambda c: feature_pb2_grpc.FeatureStub(c).getItemFeatures(feature_pb2.IDs(ID=[1])),
            "UNIMPLEMENTED",
            "friesian.v1.Feature/GetRows",
        ),
        (
            "ranking",
            lambda c: ranking_pb2_grpc.RankingStub(c).doPredict(ranking_pb2.Content(encodedStr="x")),
            "UNIMPLEMENTED",
            "friesian.v1.Ranking/Predict",
        ),
        (
            "recall",
            lambda c: recall_pb2_grpc.RecallStub(c).addItem(recall_pb2.Item(itemID=1, itemVector=[0.5])),
            "UNIMPLEMENTED",
            "publish a new one",
        ),
        (
            "recall",
            lambda c: recall_pb2_grpc.RecallStub(c).searchCandidates(recall_pb2.Query(userID=UNKNOWN_USER, k=5)),
            "NOT_FOUND",
            "Can't get user feature from feature service",
        ),
        (
            "recall",
            lambda c: recall_pb2_grpc.RecallStub(c).searchCandidates(recall_pb2.Query(userID=1, k=0)),
            "INVALID_ARGUMENT",
            "k is 0",
        ),
        (
            "recall",
            lambda c: v1_grpc.RecallStub(c).SearchCandidates(v1.CandidatesRequest(k=5)),
            "INVALID_ARGUMENT",
            "exactly one user id",
        ),
        (
            "feature",
            lambda c: v1_grpc.FeatureStub(c).GetRows(v1.RowsRequest(row_set="user_vector")),
            "NOT_FOUND",
            "this server holds user, item",
        ),
        (
            "feature",
            lambda c: v1_grpc.FeatureStub(c).GetRows(v1.RowsRequest(release_id="old", row_set="user")),
            "FAILED_PRECONDITION",
            "the call is for release old",
        ),
        (
            "ranking",
            lambda c: v1_grpc.RankingStub(c).Predict(v1.PredictRequest()),
            "INVALID_ARGUMENT",
            "missing",
        ),
        (
            "ranking",
            lambda c: v1_grpc.RankingStub(c).Predict(v1.PredictRequest(release_id="old")),
            "FAILED_PRECONDITION",
            "the call is for release old",
        ),
        (
            "ranking",
            lambda c: v1_grpc.RankingStub(c).Predict(
                v1.PredictRequest(inputs=wire.tensors_to_messages({"spend": np.zeros(10_001, np.float32)}))
            ),
            "INVALID_ARGUMENT",
            "10001 rows are too many",
        ),
        (
            "feature",
            lambda c: v1_grpc.FeatureStub(c).GetRows(
                v1.RowsRequest(row_set="item", ids=v1.Ids(int64=v1.Int64s(values=[1] * 10_001)))
            ),
            "INVALID_ARGUMENT",
            "10001 ids are too many",
        ),
    ],
)
def test_errors_of_the_services(channel, service, call, code, text):
    with pytest.raises(grpc.RpcError) as caught:
        call(channel(service))
    assert caught.value.code().name == code
    assert text in caught.value.details()


def test_metrics_calls_of_the_originals_protos(channel):
    for service, pb, stub in (
        ("feature", feature_pb2, feature_pb2_grpc.FeatureStub),
        ("feature_recall", feature_pb2, feature_pb2_grpc.FeatureStub),
        ("ranking", ranking_pb2, ranking_pb2_grpc.RankingStub),
        ("recall", recall_pb2, recall_pb2_grpc.RecallStub),
    ):
        made = stub(channel(service))
        assert made.getMetrics(pb.Empty()).str.startswith("[")
        made.resetMetrics(pb.Empty())
        assert made.getMetrics(pb.Empty()).str == "[]"


def test_every_service_is_healthy(channel):
    for service, names in (
        ("feature", ("", "feature.Feature", "friesian.v1.Feature")),
        ("ranking", ("", "ranking.Ranking", "friesian.v1.Ranking")),
        ("recall", ("", "recall.Recall", "friesian.v1.Recall")),
    ):
        health = health_pb2_grpc.HealthStub(channel(service))
        assert [health.Check(health_pb2.HealthCheckRequest(service=name)).status for name in names] == [1, 1, 1]


def children(process):
    return [child.pid for child in psutil.Process(process.pid).children()]


def gone(pids):
    """Whether all of them end within some seconds."""
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.1)
    return False


def test_a_service_that_dies_ends_the_whole(releases, tmp_path):
    started = split(releases, tmp_path / "log")
    pids = children(started.process)
    assert len(pids) == 5
    ranking = next(pid for pid in pids if b"ranking\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(ranking, signal.SIGKILL)
    assert started.process.wait(60) == 1
    assert "error: the ranking service ended with status -9" in started.log.read_text()
    assert gone(pids)


def test_no_orphans_when_the_supervisor_is_killed(releases, tmp_path):
    started = split(releases, tmp_path / "log")
    pids = children(started.process)
    started.process.kill()
    started.process.wait(20)
    assert gone(pids)


def test_a_service_that_cannot_start_names_itself(releases, served, tmp_path):
    flags = dict(zip(PORTS[::2], PORTS[1::2], strict=True)) | {"--ranking-port": served.ports["ranking", "gRPC"]}
    said = failing(
        "serve", "all", "--releases", releases, "--split", *(text for pair in flags.items() for text in pair)
    )
    assert "cannot listen on 0.0.0.0:" in said
    assert "error: the ranking service ended with status 1 while starting" in said


@pytest.fixture
def start(releases, tmp_path):
    """Starts services by themselves, each with YAML of its own."""
    running = []

    def one(service, text, port=0):
        config = tmp_path / f"config_{service}.yaml"
        config.write_text(f"releasePath: {releases}\n{text}")
        extra = ("--http-port", 0) if service == "recommender" else ()
        running.append(Served(service, "-c", config, "-p", port, *extra, last=service, log=tmp_path / f"{service}.log"))
        return running[-1]

    yield one
    statuses = [one.stop() for one in reversed(running)]
    assert sorted(statuses) == [-9, 0, 0, 0, 0, 0]


def start_recommender(start, releases, address, ranking):
    """The other services, wired to a ranking service, on rows from Redis."""
    redis = f"serviceType: kv\nredisUrl: {address}\nlogInterval: 2\n"
    load_redis(open_release(releases), RedisServer(url=address), "")
    vectors = start("feature_recall", f"{redis}redisKeyPrefix: 2tower_\n")
    feature = start("feature", f"{redis}redisKeyPrefix: ''\n")
    recall = start("recall", f"indexDim: 16\nfeatureServiceURL: {vectors.grpc('feature_recall')}\n")
    return start(
        "recommender",
        f"inferenceColumns: age, price, tags, spend, genre\ninferenceBatch: 7\n"
        f"recallServiceURL: {recall.grpc('recall')}\nfeatureServiceURL: {feature.grpc('feature')}\n"
        f"rankingServiceURL: {ranking.grpc('ranking')}\n",
    )


def test_each_by_itself_with_yaml_and_a_ranking_that_goes_and_comes_back(start, releases, redis_server):
    ranking = start("ranking", "modelParallelism: 4\n")
    recommender = start_recommender(start, releases, redis_server.address, ranking)
    wanted = open_recommender(open_release(releases)).recommend(user_id(5), k=9).ids.tolist()

    def ask():
        body = httpx.get(f"{recommender.http('recommender')}/recommender/recommend/{user_id(5)}?k=9", timeout=30)
        return body.json()

    assert ask()["ids"] == wanted
    ranking.process.kill()
    ranking.process.wait(20)
    fallen = ask()
    assert fallen["success"] is True
    assert f"ranking service at {ranking.grpc('ranking')}" in fallen["fallback"]
    assert fallen["ids"] == [item_id(n) for n in range(9)]
    start("ranking", "", ranking.ports["ranking", "gRPC"])
    for _ in range(100):
        if "fallback" not in ask():
            break
        time.sleep(0.1)
    assert ask()["ids"] == wanted
