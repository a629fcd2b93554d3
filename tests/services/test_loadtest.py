import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from tests.services.http_stand_in import ANSWER, StandIn
from tests.services.processes import Served, failing, free_port
from tests.services.tiny_release import UNKNOWN_USER, USERS

from friesian_fast.errors import InvalidInputError, NotFoundError, UnavailableError
from friesian_services.loadtest.http_calls import outcome_of
from friesian_services.loadtest.plan import LoadPlan, address_of
from friesian_services.loadtest.run import run_load
from friesian_services.loadtest.summary import percentile, summarize
from friesian_services.loadtest.users import draw, read_users


def make_plan(target, **options):
    host, _, port = target.rpartition(":")
    short = {"duration_s": 0.5, "warmup_s": 0.1, "timeout_s": 5.0, "rate": None, "clients": None}
    return LoadPlan(**{"protocol": "http", "host": host, "port": int(port)} | short | options)


def load(target, **options):
    plan = make_plan(target, **options)
    return summarize(plan, run_load(plan, range(1, 101)))


@pytest.fixture(scope="module")
def served(releases, tmp_path_factory):
    log = tmp_path_factory.mktemp("loadtest") / "log"
    process = Served("all", "--releases", releases, "--http-port", 0, "-p", 0, last="release", log=log)
    yield process
    process.stop()


@pytest.mark.parametrize("protocol", ["http", "grpc", "grpc-original"])
@pytest.mark.parametrize("options", [{"clients": 3}, {"rate": 100.0}, {"rate": 100.0, "arrivals": "constant"}], ids=str)
def test_a_real_server_answers_every_request(served, protocol, options):
    target = served.grpc() if protocol != "http" else served.http().removeprefix("http://")
    plan = make_plan(target, protocol=protocol, **options)
    found = summarize(plan, run_load(plan, range(1, USERS), served.process.pid), served.process.pid)
    assert found["answered"] == found["requests"] > 10
    assert (found["errors"], found["fallbacks"]) == ({}, 0)
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99.9"] <= found["latency_ms"]["max"]
    assert found["server"]["resident_mb_last"] > 10
    assert found["server"]["processes"] == 1
    if options.get("arrivals") == "constant":
        assert found["requests"] == pytest.approx(50, abs=1)


@pytest.mark.parametrize("protocol", ["http", "grpc", "grpc-original"])
def test_fallbacks_are_counted(served, protocol):
    target = served.grpc() if protocol != "http" else served.http().removeprefix("http://")
    plan = make_plan(target, protocol=protocol, clients=1)
    found = summarize(plan, run_load(plan, range(UNKNOWN_USER, UNKNOWN_USER + 5)))
    assert found["fallbacks"] == found["answered"] > 0


@pytest.mark.parametrize(
    ("protocol", "kind"), [("http", "HTTP 400"), ("grpc", "INVALID_ARGUMENT"), ("grpc-original", "INVALID_ARGUMENT")]
)
def test_errors_are_counted_by_kind(served, protocol, kind):
    target = served.grpc() if protocol != "http" else served.http().removeprefix("http://")
    found = load(target, protocol=protocol, clients=1, candidates=100_000)
    assert set(found["errors"]) == {kind}
    assert found["answered"] == 0
    assert found["latency_ms"] is None


def test_a_stall_is_in_the_percentiles_of_an_open_loop():
    server = StandIn(stall_at=0.5, stall_s=1.0)
    found = load(server.target, rate=200.0, arrivals="constant", duration_s=2.0, warmup_s=0.1)
    # Half of the two seconds' requests were due while it stood still: the waits are spread evenly up to a second.
    assert found["errors"] == {}
    assert 700 < found["latency_ms"]["p90"] < 1100
    assert 150 < found["latency_ms"]["mean"] < 500
    slots = [slot["p50"] for slot in found["over_time"]]
    assert max(slots) > 700
    server.shutdown()


def test_few_connections_do_not_hide_a_stall():
    server = StandIn(stall_at=0.5, stall_s=1.0)
    found = load(server.target, rate=200.0, arrivals="constant", duration_s=2.0, warmup_s=0.1, connections=2)
    assert found["latency_ms"]["p90"] > 700
    assert any("2 connections" in text for text in found["warnings"])
    server.shutdown()


def test_a_closed_loop_waits_with_the_server():
    server = StandIn(stall_at=0.5, stall_s=1.0)
    found = load(server.target, clients=1, duration_s=2.0, warmup_s=0.1)
    assert found["latency_ms"]["p50"] < 100
    assert found["latency_ms"]["max"] > 700
    server.shutdown()


def test_kinds_of_answers_over_http():
    answers = [(200, ANSWER), (503, b"{}"), (200, b"no json"), (200, ANSWER.replace(b"true", b"false"))]
    server = StandIn(lambda number: answers[number % 4])
    found = load(server.target, clients=2)
    assert set(found["errors"]) == {"HTTP 503", "bad answer", "failed"}
    assert found["answered"] + sum(found["errors"].values()) == found["requests"]
    server.shutdown()


def test_a_timeout_is_an_error_and_its_wait_counts():
    server = StandIn(stall_at=0.0, stall_s=60.0)
    found = load(server.target, rate=20.0, timeout_s=0.3)
    assert set(found["errors"]) == {"timeout"}
    assert found["latency_ms"]["p50"] > 290
    server.shutdown()


def test_outcomes():
    assert outcome_of(200, ANSWER) == "answered"
    assert outcome_of(200, b'{"success":true,"ids":["fallback"]}') == "answered"
    assert outcome_of(200, b'{"success": true, "ids": [], "fallback": "why"}') == "fallback"
    assert outcome_of(200, b'{"success": false, "errorCode": "INTERNAL"}') == "INTERNAL"
    assert outcome_of(404, b"") == "HTTP 404"


def test_percentiles_are_the_nearest_rank():
    ordered = np.arange(1.0, 1001.0)
    assert [percentile(ordered, p) for p in (50, 90, 99, 99.9, 100)] == [500, 900, 990, 999, 1000]
    assert percentile(np.array([7.0]), 50) == 7


def test_users_come_from_a_range_a_file_or_a_release(tmp_path, releases, string_releases):
    assert read_users("3-5", None) == range(3, 6)
    (tmp_path / "ids").write_text("4\n9\n\n")
    assert read_users(str(tmp_path / "ids"), None).tolist() == [4, 9]
    (tmp_path / "names").write_text("4\nb é\n")
    assert read_users(str(tmp_path / "names"), None) == ["4", "b é"]
    assert sorted(read_users(None, releases).tolist()) == list(range(1, USERS))
    assert "user-0" in read_users(None, string_releases)
    users = draw(read_users("3-5", None), seed=1)
    assert {next(users) for _ in range(100)} == {3, 4, 5}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "--rate"),
        ({"rate": 1.0, "clients": 1}, "--clients"),
        ({"rate": 0.0}, "--rate is 0"),
        ({"rate": float("nan")}, "--rate is nan"),
        ({"clients": 0}, "--clients is 0"),
        ({"clients": 1, "duration_s": -1.0}, "--duration is -1"),
        ({"clients": 1, "protocol": "smtp"}, "--protocol is 'smtp'"),
        ({"rate": 1.0, "arrivals": "bursts"}, "--arrivals is 'bursts'"),
        ({"clients": 1, "k": 0}, "--k is 0"),
    ],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(InvalidInputError, match=named):
        make_plan("127.0.0.1:1", **options)


@pytest.mark.parametrize(
    ("users", "named"), [(None, "--users"), ("5-3", "5-3"), ("nowhere", "'nowhere'"), (os.devnull, "no ids")]
)
def test_bad_users_are_named(users, named):
    with pytest.raises(InvalidInputError, match=named):
        read_users(users, None)


def test_only_this_machine_unless_allowed():
    assert address_of(None, "http", allow_remote=False) == ("127.0.0.1", 8000)
    assert address_of("[::1]:5", "grpc", allow_remote=False) == ("::1", 5)
    with pytest.raises(InvalidInputError, match="192\\.0\\.2\\.1.*--allow-remote"):
        address_of("192.0.2.1:80", "http", allow_remote=False)
    assert address_of("192.0.2.1:80", "http", allow_remote=True) == ("192.0.2.1", 80)
    with pytest.raises(InvalidInputError, match="host:port"):
        address_of("localhost", "http", allow_remote=False)


def test_what_is_not_there_is_named():
    with pytest.raises(UnavailableError, match="nothing answers HTTP"):
        load(f"127.0.0.1:{free_port()}", clients=1)
    with pytest.raises(NotFoundError, match="--server-pid is 999999999"):
        run_load(make_plan("127.0.0.1:1", clients=1), range(1, 2), 999_999_999)


def test_the_original_call_takes_no_strings(served):
    plan = make_plan(served.grpc(), protocol="grpc-original", clients=1)
    with pytest.raises(InvalidInputError, match="32 bits"):
        run_load(plan, ["user-1"])


def test_the_command_writes_json_and_charts(served, tmp_path):
    target = served.http().removeprefix("http://")
    for chart in ("load.html", "load.svg"):
        arguments = ["--target", target, "--users", "1-100", "--rate", "50", "--duration", "0.5", "--warmup", "0"]
        files = ["--json", str(tmp_path / "load.json"), "--plot", str(tmp_path / chart)]
        command = [sys.executable, "-m", "friesian_fast.cli", "loadtest", *arguments, *files]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert "latency p99.9, ms" in done.stdout
    found = json.loads((tmp_path / "load.json").read_text())
    assert found["answered"] == found["requests"] > 0
    assert sum(slot["rate"] for slot in found["over_time"]) > 0
    assert len(ET.parse(tmp_path / "load.svg").getroot().findall(".//{*}polyline")) == 5
    page = (tmp_path / "load.html").read_text()
    assert "<polyline" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace(", http,", "")


def test_the_command_names_what_is_wrong(tmp_path):
    assert "error: --plot is 'a.png'" in failing("loadtest", "--users", "1-2", "--plot", "a.png")
    assert "error: give either --users" in failing("loadtest", "--target", "127.0.0.1:9")
