"""Several processes behind one port, asked over real sockets."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from friesian_services._pb import recommender_pb2, recommender_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.services.processes import Served, failing, free_port

from friesian_fast.errors import UnavailableError
from friesian_fast.recommend import open_recommender
from friesian_fast.release.open import open_release
from friesian_services.child import Child, stop_all
from friesian_services.sockets import bound_socket, reserved_socket
from friesian_services.timers import Timers
from friesian_services.workers import Workers, pause_s

ANY_PORTS = ("--http-port", 0, "--grpc-port", 0)
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
REQUESTS = 20


def workers_of(served):
    return psutil.Process(served.process.pid).children()


def shared_directory(worker):
    line = worker.cmdline()
    return Path(line[line.index("--worker") + 1]).parent


def ask(served, user=4):
    """A new connection for each request, so that either worker may get it."""
    return httpx.get(f"{served.http()}/recommender/recommend/{user}?k=5")


def counted(served, name="recommend.overall"):
    timers = json.loads(httpx.get(f"{served.http()}/recommender/metrics").text)
    return {timer["name"]: timer["count"] for timer in timers}.get(name, 0)


def exported(port, name):
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def monitor_port():
    return free_port()


@pytest.fixture(scope="module")
def served(releases, tmp_path_factory, monitor_port):
    log = tmp_path_factory.mktemp("workers") / "log"
    flags = ("--releases", releases, "--workers", 2, *ANY_PORTS)
    started = Served("all", *flags, last="release", log=log, env={"FRIESIAN_MONITORPORT": str(monitor_port)})
    yield started
    if started.process.poll() is None:
        started.stop()


@pytest.fixture(scope="module")
def answers(releases):
    direct = open_recommender(open_release(releases))
    return {user: direct.recommend(user, k=5).ids.tolist() for user in range(1, REQUESTS + 1)}


def test_both_answer_and_count_together(served, answers, monitor_port):
    """On HTTP and gRPC; whoever is asked shows, and resets, what both have counted."""
    workers = workers_of(served)
    assert len(workers) == 2
    shared = os.open(shared_directory(workers[0]), os.O_RDONLY)
    with pytest.raises(BlockingIOError):  # locked, so that nobody cleans it up
        fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(shared)
    for user, ids in answers.items():
        assert ask(served, user).json()["ids"] == ids
        with grpc.insecure_channel(served.grpc(), OWN_CONNECTION) as channel:
            stub = recommender_pb2_grpc.RecommenderStub(channel)
            reply = stub.getRecommendIDs(recommender_pb2.RecommendRequest(recommendNum=5, candidateNum=50, ID=[user]))
            assert list(reply.IDProbList[0].ID) == ids
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert {counted(served) for _ in range(10)} == {2 * REQUESTS}
    assert exported(monitor_port, "http_requests_total") >= REQUESTS
    assert exported(monitor_port, "grpc_server_handled_total") == 2 * REQUESTS
    assert exported(monitor_port, "friesian_workers") == 2
    pages = sorted(shared_directory(workers[0]).glob("timers-*"))
    assert len(pages) == 2
    assert all(b"recommend.grpc.overall" in page.read_bytes() for page in pages)  # neither was left out
    httpx.get(f"{served.http()}/recommender/resetMetrics")
    assert {counted(served) for _ in range(10)} == {0}


def test_a_killed_worker_is_replaced_and_no_request_fails_for_good(served, answers, monitor_port):
    """New connections over HTTP, kept ones over gRPC, to either worker: what dies with the worker is asked again."""
    channels = [grpc.insecure_channel(served.grpc(), OWN_CONNECTION) for _ in range(6)]
    stubs = [recommender_pb2_grpc.RecommenderStub(channel) for channel in channels]

    def ask_over_grpc(user, n):
        request = recommender_pb2.RecommendRequest(recommendNum=5, candidateNum=50, ID=[user])
        return stubs[n % 6].getRecommendIDs(request, timeout=20, wait_for_ready=True).IDProbList[0].ID

    lost = []

    def again(call, *arguments):
        try:
            return call(*arguments)
        except (httpx.TransportError, grpc.RpcError) as error:
            lost.append(error)
            assert len(lost) <= 8
            return call(*arguments)

    for n, user in enumerate(answers):  # all are connected
        ask_over_grpc(user, n)
    before = workers_of(served)
    before[0].send_signal(signal.SIGKILL)
    while len([worker for worker in workers_of(served) if worker != before[0]]) < 2 or (
        exported(monitor_port, "friesian_workers") < 2
    ):
        for n, (user, ids) in enumerate(answers.items()):
            assert again(ask, served, user).json()["ids"] == ids
            assert list(again(ask_over_grpc, user, n)) == ids
    after = workers_of(served)
    assert before[1] in after
    assert before[0] not in after
    assert exported(monitor_port, "friesian_worker_restarts_total") == 1
    assert re.search(rf"worker \d of all \(pid {before[0].pid}\) was ended by signal 9", served.log.read_text())
    for channel in channels:
        channel.close()


def test_a_port_that_is_shared_is_taken_for_others(served, releases):
    port = served.ports["release", "HTTP"]
    for flags in ((), ("--workers", 2)):
        said = failing("serve", "all", "--releases", releases, "--grpc-port", 0, "--http-port", port, *flags)
        assert f"cannot listen on 0.0.0.0:{port}" in said


def test_a_reserved_port_is_taken_before_anybody_listens():
    with reserved_socket("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        for other in (reserved_socket, bound_socket):
            with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
                other("127.0.0.1", port)
        bound_socket("127.0.0.1", port, share_port=True).close()


def test_a_worker_that_the_system_has_no_room_for_is_tried_again(tmp_path, monkeypatch):
    tried = []

    def no_room(name, *_, **__):
        tried.append(name)
        if len(tried) < 3:
            raise UnavailableError(f"{name} cannot be started: no memory")
        return name

    monkeypatch.setattr("friesian_services.workers.Child", no_room)
    monkeypatch.setattr("friesian_services.workers.pause_s", lambda failures: 0.0)
    workers = Workers("all", 1, tmp_path, "{}")
    workers._children.append(None)
    assert workers._replaced(0, 1) == "worker 0 of all"
    assert len(tried) == 3


def test_a_process_that_cannot_be_made_is_named(monkeypatch):
    def popen(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("friesian_services.child.subprocess.Popen", popen)
    with pytest.raises(UnavailableError, match="worker 0 cannot be started: .*Cannot allocate memory"):
        Child("worker 0", "all", [])


def test_workers_that_do_not_start_end_the_command(releases, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("indexDim: 17\nworkers: 2\n")
    said = failing("serve", "all", "--releases", releases, "-c", config, *ANY_PORTS)
    assert "indexDim is 17, but the index of release" in said
    assert "worker 0 of all ended with status 1 while starting; its message is above" in said


def test_workers_and_split_exclude_each_other(releases):
    said = failing("serve", "all", "--releases", releases, "--split", "--workers", 2)
    assert "2 workers and --split exclude each other" in said


def test_one_service_may_have_workers_too(releases, tmp_path):
    flags = ("--release-path", releases, "-p", 0, "--workers", 2)
    served = Served("feature", *flags, last="feature", log=tmp_path / "log")
    try:
        with grpc.insecure_channel(served.grpc("feature")) as channel:
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1
        assert len(workers_of(served)) == 2
    finally:
        assert served.stop() == 0


@pytest.mark.parametrize("flags", [("--workers", 3), ("--split",)])
def test_a_signal_ends_what_is_still_starting(releases, flags):
    """Nothing is waited for: none of them says that it is ready."""
    command = [sys.executable, "-m", "friesian_fast.cli", "serve", "all", "--releases", releases, *flags, *ANY_PORTS]
    ports = {f"FRIESIAN_{name}_PORT": "0" for name in ("RECALL", "FEATURE_RECALL", "FEATURE", "RANKING")}
    started = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env={**os.environ, **ports})
    try:
        while not (children := psutil.Process(started.pid).children()):
            assert started.poll() is None
            time.sleep(0.01)
        started.terminate()
        assert started.wait(20) == 0
        assert b"is ready" not in started.stdout.read()
        assert not any(child.is_running() for child in children)
    finally:
        started.kill()
        started.stdout.close()


def test_hung_processes_are_killed_after_one_time_for_all(monkeypatch):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(); time.sleep(60)"
    popen = subprocess.Popen
    monkeypatch.setattr(
        "friesian_services.child.subprocess.Popen",
        lambda _, **options: popen([sys.executable, "-c", deaf], **{**options, "stdout": subprocess.PIPE}),
    )
    monkeypatch.setattr("friesian_services.child._EXTRA_S", 0.0)
    children = [Child(f"worker {n}", "all", []) for n in range(4)]
    for child in children:
        assert child.process.stdout.readline()
    began = time.monotonic()
    stop_all(children, 1.0)
    assert time.monotonic() - began < 3.5  # 4 if one after the other
    assert {child.process.returncode for child in children} == {-signal.SIGKILL}


def test_no_room_for_what_is_counted_is_an_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UnavailableError, match="no room for .*timers-0.*No space left"):
        Timers(tmp_path)


def test_what_is_counted_has_its_room_from_the_start(tmp_path):
    Timers(tmp_path)
    for page in tmp_path.iterdir():
        assert page.stat().st_blocks * 512 >= page.stat().st_size


def test_pauses_double_up_to_half_a_minute():
    assert [pause_s(n) for n in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_sigterm_drains_all_of_them(served):
    """Calls that run in both workers when the signal comes are answered; nothing is left behind. Ends the server."""
    workers = workers_of(served)
    shared = shared_directory(workers[0])
    request = recommender_pb2.RecommendRequest(recommendNum=5, candidateNum=50, ID=[1] * 2000)

    def call():
        with grpc.insecure_channel(served.grpc(), OWN_CONNECTION) as channel:
            return len(recommender_pb2_grpc.RecommenderStub(channel).getRecommendIDs(request, timeout=60).IDProbList)

    before = {page: page.read_bytes() for page in shared.glob("timers-*")}

    def both_busy():
        return all(page.read_bytes() != content for page, content in before.items())

    with ThreadPoolExecutor(30) as pool:
        running = []
        while not both_busy():  # the system picks the worker of a connection
            assert len(running) < 30
            running.append(pool.submit(call))
            time.sleep(0.1)
        served.process.terminate()
        assert {one.result() for one in running} == {2000}
    assert served.process.wait(60) == 0
    assert not any(worker.is_running() for worker in workers)
    assert not shared.exists()
