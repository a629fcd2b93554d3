"""One process with everything, asked as users ask it."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import recommender_pb2, recommender_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.services.processes import RedisProcess, Served, failing, free_port
from tests.services.tiny_release import UNKNOWN_USER, item_id, user_id

from friesian_fast.recommend import open_recommender
from friesian_fast.release.open import open_release
from friesian_services import wire
from friesian_services.backends import HEADERS

PROTO = Path(__file__).parents[2] / "services" / "proto" / "recommender.proto"
ANY_PORTS = ("--http-port", 0, "--grpc-port", 0)

# What a user of the original has: a client made from its proto, in a process that knows nothing of ours.
CLIENT = """
import sys, json, grpc, recommender_pb2 as pb, recommender_pb2_grpc as pb_grpc
stub = pb_grpc.RecommenderStub(grpc.insecure_channel(sys.argv[1]))
answer, call = stub.getRecommendIDs.with_call(pb.RecommendRequest(recommendNum=3, candidateNum=50, ID=[4, 7, 99999]))
try:
    stub.getRecommendIDs(pb.RecommendRequest(recommendNum=20, candidateNum=10, ID=[4]))
except grpc.RpcError as error:
    refused = [error.code().name, error.details()]
names = [timer["name"] for timer in json.loads(stub.getMetrics(pb.Empty()).str)]
clients = stub.getClientMetrics(pb.Empty()).str
stub.resetMetrics(pb.Empty())
print(json.dumps({
    "ids": [list(one.ID) for one in answer.IDProbList], "probs": [list(one.prob) for one in answer.IDProbList],
    "trailing": [value for key, value in call.trailing_metadata() if key == "x-fallback"], "refused": refused,
    "names": names, "clients": clients, "left": json.loads(stub.getMetrics(pb.Empty()).str),
    "ours": [name for name in sys.modules if name.startswith("friesian")],
}))
"""


@pytest.fixture
def stub(fused):
    with grpc.insecure_channel(fused.grpc()) as channel:
        yield recommender_pb2_grpc.RecommenderStub(channel)


@pytest.fixture
def v1_stub(fused):
    with grpc.insecure_channel(fused.grpc()) as channel:
        yield v1_grpc.RecommenderStub(channel)


def test_a_client_of_the_originals_proto(fused, releases, tmp_path):
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", f"--python_out={tmp_path}"]
    subprocess.run([*protoc, f"--grpc_python_out={tmp_path}", PROTO.name], check=True)
    (tmp_path / "client.py").write_text(CLIENT)
    done = subprocess.run(
        [sys.executable, "client.py", fused.grpc()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    got = json.loads(done.stdout)
    direct = open_recommender(open_release(releases))
    assert got["ids"] == [direct.recommend(user, k=3, candidates=50).ids.tolist() for user in (4, 7, 99_999)]
    assert [len(probs) for probs in got["probs"]] == [3, 3, 3]
    assert len(got["trailing"]) == 1
    assert "user 99999" in got["trailing"][0]
    assert got["refused"][0] == "FAILED_PRECONDITION"
    assert got["refused"][1].startswith("CandidateNum should be larger than recommendNum.")
    assert {"recommend.overall", "recommend.grpc.overall", "recommend.recall", "recommend.topK"} <= set(got["names"])
    assert all(header in got["clients"] for header in HEADERS.values())
    assert got["left"] == []
    assert got["ours"] == []


def test_http_and_grpc_answer_the_same(fused, v1_stub):
    for user in (user_id(n) for n in range(0, 200, 20)):
        body = httpx.get(f"{fused.http()}/recommender/recommend/{user}?k=5&canK=40").json()
        users = v1.Ids(int64=v1.Int64s(values=[user]))
        reply = v1_stub.Recommend(v1.RecommendRequest(users=users, k=5, candidates=40))
        (answer,) = reply.recommendations
        assert list(answer.ids.int64.values) == body["ids"]
        assert wire.floats_from_bytes(answer.scores, 5).tolist() == pytest.approx(body["probs"])
        assert answer.fallback == ""


def test_v1_explains_where_asked(v1_stub):
    users = v1.Ids(int64=v1.Int64s(values=[user_id(4)]))
    asked = v1.RecommendRequest(users=users, k=5, candidates=40, explain=True)
    (answer,) = v1_stub.Recommend(asked).recommendations
    explained = json.loads(answer.explanation)
    best = sorted(explained["candidates"], key=lambda candidate: -candidate["score"])[:5]
    assert [candidate["id"] for candidate in best] == list(answer.ids.int64.values)
    assert v1_stub.Recommend(v1.RecommendRequest(users=users)).recommendations[0].explanation == ""


def test_v1_marks_the_fallback(v1_stub, releases):
    users = v1.Ids(int64=v1.Int64s(values=[user_id(3), UNKNOWN_USER]))
    reply, call = v1_stub.Recommend.with_call(v1.RecommendRequest(users=users))
    assert reply.release_id == open_release(releases).id
    first, second = reply.recommendations
    assert first.fallback == ""
    assert "user 99999" in second.fallback
    assert second.ids.int64.values[0] == item_id(0)
    assert ("x-fallback", second.fallback) in [tuple(pair) for pair in call.trailing_metadata()]


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (v1.RecommendRequest(release_id="other"), "FAILED_PRECONDITION", "the call is for release other"),
        (v1.RecommendRequest(users=v1.Ids(string=v1.Strings(values=["a"]))), "INVALID_ARGUMENT", "are int64"),
        (v1.RecommendRequest(users=v1.Ids(int64=v1.Int64s(values=[1])), k=-1), "INVALID_ARGUMENT", "k is -1"),
        (
            v1.RecommendRequest(users=v1.Ids(int64=v1.Int64s(values=[1])), k=5, candidates=4),
            "FAILED_PRECONDITION",
            "Cand",
        ),
        (v1.RecommendRequest(users=v1.Ids(int64=v1.Int64s(values=[1])), candidates=501), "INVALID_ARGUMENT", "501"),
        (v1.RecommendRequest(users=v1.Ids(int64=v1.Int64s(values=[1] * 10_001))), "INVALID_ARGUMENT", "at most 10000"),
        (v1.RecommendRequest(release_id="x" * 100_000), "FAILED_PRECONDITION", "the call is for release xx"),
    ],
)
def test_v1_errors(v1_stub, request_, code, text):
    with pytest.raises(grpc.RpcError) as caught:
        v1_stub.Recommend(request_)
    assert caught.value.code().name == code
    assert text in caught.value.details()


def test_a_deadline_is_kept(stub):
    """Ten thousand users cannot be answered in a fifth of a second; the server stops when nobody waits."""
    request = recommender_pb2.RecommendRequest(recommendNum=5, candidateNum=50, ID=[1] * 10_000)
    with pytest.raises(grpc.RpcError) as caught:
        stub.getRecommendIDs(request, timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    answer = stub.getRecommendIDs(recommender_pb2.RecommendRequest(recommendNum=5, candidateNum=50, ID=[1]), timeout=20)
    assert len(answer.IDProbList) == 1


def test_a_message_that_is_too_large(stub):
    request = recommender_pb2.RecommendRequest(recommendNum=1, candidateNum=1, ID=[2**31 - 1] * (14 << 20))
    with pytest.raises(grpc.RpcError) as caught:
        stub.getRecommendIDs(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_huge_pages_hold_copies_of_rows_and_index(fused, releases, tmp_path):
    def mapped(served):
        maps = psutil.Process(served.process.pid).memory_maps()
        return {one.path for one in maps if one.path.startswith(str(releases))}

    env, question = {"FRIESIAN_HUGEPAGES": "true"}, "/recommender/recommend/4?k=5"
    copied = Served("all", "--releases", releases, *ANY_PORTS, last="release", log=tmp_path / "log", env=env)
    try:
        assert httpx.get(copied.http() + question).json() == httpx.get(fused.http() + question).json()
        assert any(path.endswith(".rows") for path in mapped(fused) - mapped(copied))
        assert any(path.endswith(".ivf") for path in mapped(fused) - mapped(copied))
    finally:
        assert copied.stop() == 0


def test_health_and_reflection(fused):
    with grpc.insecure_channel(fused.grpc()) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "recommender.Recommender", "friesian.v1.Recommender"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == 1
        found = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"recommender.Recommender", "friesian.v1.Recommender", "grpc.health.v1.Health"} <= found


def test_open_reflection_streams_hold_nobody_up(fused, stub):
    closing = threading.Event()

    def questions():
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        closing.wait()

    with grpc.insecure_channel(fused.grpc()) as channel:
        info = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        streams = [info(questions()) for _ in range(os.cpu_count() + 2)]
        assert next(streams[0]).HasField("list_services_response")
        request = recommender_pb2.RecommendRequest(recommendNum=5, candidateNum=50, ID=[1])
        assert len(stub.getRecommendIDs(request, timeout=20).IDProbList) == 1
        closing.set()
        for stream in streams:
            stream.cancel()


def test_a_request_whose_head_never_ends_is_refused(fused):
    """Uvicorn alone would go on collecting it, in time that grows with its square."""
    port = int(fused.http().rpartition(":")[2])
    with socket.create_connection(("localhost", port), timeout=30) as connection:
        connection.sendall(b"GET /recommender/recommend/")
        with contextlib.suppress(ConnectionError):  # refused while we are still writing
            for _ in range(64):
                connection.sendall(b"1" * 65536)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert httpx.get(f"{fused.http()}/healthz").text == "ok\n"


def test_http_of_the_process(fused):
    assert httpx.get(f"{fused.http()}/readyz").status_code == 200
    assert httpx.get(f"{fused.http()}/recommender").status_code == 200
    assert httpx.get(f"{fused.http()}/recommender/recommend/x").status_code == 404


def test_many_callers_at_once(fused, releases):
    direct = open_recommender(open_release(releases))
    wrong = []

    def ask(offset):
        with httpx.Client() as client:
            for n in range(20):
                user = user_id((offset * 31 + n) % 299)
                got = client.get(f"{fused.http()}/recommender/recommend/{user}?k=5").json()["ids"]
                if got != direct.recommend(user, k=5).ids.tolist():
                    wrong.append(user)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_string_ids_need_v1(string_releases, tmp_path):
    served = Served("all", "--releases", string_releases, *ANY_PORTS, last="release", log=tmp_path / "log")
    try:
        with grpc.insecure_channel(served.grpc()) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                recommender_pb2_grpc.RecommenderStub(channel).getRecommendIDs(
                    recommender_pb2.RecommendRequest(recommendNum=1, candidateNum=1, ID=[1])
                )
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "friesian.v1" in caught.value.details()
            users = v1.Ids(string=v1.Strings(values=[user_id(3, True)]))
            reply = v1_grpc.RecommenderStub(channel).Recommend(v1.RecommendRequest(users=users))
        direct = open_recommender(open_release(string_releases)).recommend(user_id(3, True))
        assert list(reply.recommendations[0].ids.string.values) == direct.ids
    finally:
        assert served.stop() == 0


def test_rows_from_redis_give_the_same_answers(releases, fused, redis_server, tmp_path):
    load = [sys.executable, "-m", "friesian_fast.cli", "load-redis", "--releases", str(releases)]
    subprocess.run([*load, "--url", redis_server.address], check=True, capture_output=True)
    config = tmp_path / "all.yaml"
    config.write_text(f"redisUrl: {redis_server.address}\nserviceType: kv\n")
    served = Served("all", "--releases", releases, "-c", config, *ANY_PORTS, last="release", log=tmp_path / "log")
    try:
        for user in (1, 50, 299, 300, UNKNOWN_USER):
            path = f"/recommender/recommend/{user}?k=7&canK=70"
            assert httpx.get(served.http() + path).json() == httpx.get(fused.http() + path).json()
    finally:
        assert served.stop() == 0


def test_redis_that_goes_away_is_a_fallback(releases, tmp_path):
    process = RedisProcess(tmp_path / "redis")
    load = [sys.executable, "-m", "friesian_fast.cli", "load-redis", "--releases", str(releases)]
    subprocess.run([*load, "--url", process.address], check=True, capture_output=True)
    env = {"FRIESIAN_REDISURL": process.address}
    served = Served("all", "--releases", releases, *ANY_PORTS, last="release", log=tmp_path / "log", env=env)
    try:
        process.stop()
        body = httpx.get(f"{served.http()}/recommender/recommend/1", timeout=30).json()
        assert body["success"] is True
        assert f"Redis at redis://{process.address} does not answer" in body["fallback"]
    finally:
        assert served.stop() == 0


def test_redis_down_at_start(releases):
    address = f"127.0.0.1:{free_port()}"
    said = failing("serve", "all", "--releases", releases, *ANY_PORTS, env={"FRIESIAN_REDISURL": address})
    assert f"error: Redis at redis://{address} does not answer" in said


def test_sigterm_drains(releases, tmp_path):
    """A call that runs when the signal comes is answered; new ones are refused; the exit status is 0."""
    served = Served("all", "--releases", releases, *ANY_PORTS, last="release", log=tmp_path / "log")
    with grpc.insecure_channel(served.grpc()) as channel:
        stub = recommender_pb2_grpc.RecommenderStub(channel)
        request = recommender_pb2.RecommendRequest(recommendNum=5, candidateNum=50, ID=[1] * 3000)
        running = stub.getRecommendIDs.future(request, timeout=60)
        wait_until_busy(stub)
        served.process.terminate()
        assert len(running.result().IDProbList) == 3000
    assert served.process.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{served.http()}/healthz")


def wait_until_busy(stub):
    for _ in range(2000):
        timers = json.loads(stub.getMetrics(recommender_pb2.Empty()).str)
        if any(timer["name"] == "recommend.overall" for timer in timers):
            return
        time.sleep(0.005)
    raise AssertionError("the call never began")


def test_ports_in_use(releases):
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        port = holder.getsockname()[1]
        for flags in (("--http-port", port, "--grpc-port", 0), ("--http-port", 0, "--grpc-port", port)):
            said = failing("serve", "all", "--releases", releases, *flags)
            assert f"cannot listen on 0.0.0.0:{port}" in said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("all",), "releasePath is missing"),
        (("all", "--releases", "nowhere"), "there is no release at"),
        (("ranking", "-c", "nowhere.yaml"), "no configuration at nowhere.yaml"),
    ],
)
def test_bad_starts(arguments, text, tmp_path):
    assert text in failing("serve", *arguments, env={"PWD": os.fspath(tmp_path)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("indexDim: 17", "indexDim is 17, but the index of release .* has 16"),
        ("indexPath: nowhere.idx", "indexPath is nowhere.idx, where there is no file"),
        ("modelPath: {config}", "modelPath is .*which is not the rank/ranker.onnx of release"),
        (
            "inferenceColumns: age, price",
            "inferenceColumns are age, price, but .* takes age, price, tags, spend, genre",
        ),
    ],
)
def test_settings_that_disagree_with_the_release(releases, tmp_path, text, message):
    config = tmp_path / "c.yaml"
    config.write_text(text.format(config=config))
    assert re.search(message, failing("serve", "all", "--releases", releases, "-c", config, *ANY_PORTS))


def test_settings_that_agree(releases, tmp_path):
    release = open_release(releases)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"modelPath: {release.ranker_path.parent}\nindexPath: {release.path / release.manifest.index.file}\n"
        f"indexDim: 16\ninferenceColumns: age, price, tags, spend, genre\nmonitorPort: {(port := free_port())}\n"
    )
    served = Served("all", "--releases", releases, "-c", config, *ANY_PORTS, last="release", log=tmp_path / "log")
    try:
        httpx.get(f"{served.http()}/recommender/recommend/1")
        assert "http_requests_total" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        assert served.stop() == 0
