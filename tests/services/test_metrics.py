import json
import threading
import urllib.request

import pytest
from tests.services.processes import free_port

from friesian_fast.errors import UnavailableError
from friesian_services.metrics import BUCKETS, Exporter
from friesian_services.timers import Timers

FIELDS = ["name", "count", "meanRate", "mean", "median", "_75thPercentile", "_95thPercentile", "_99thPercentile"]


def test_a_timers_fields_in_milliseconds():
    timers = Timers()
    for milliseconds in range(1, 102):
        timers.timer("t").add(milliseconds / 1000)
    (summary,) = json.loads(timers.json())
    assert list(summary) == FIELDS
    assert summary["count"] == 101
    assert summary["meanRate"] > 0
    wanted = {"mean": 51, "median": 51, "_75thPercentile": 76, "_95thPercentile": 96, "_99thPercentile": 100}
    for name, value in wanted.items():
        assert summary[name] == pytest.approx(value)


def test_percentiles_are_of_the_last_thousand():
    timers = Timers()
    timers.timer("t").add(1000)
    for _ in range(1024):
        timers.timer("t").add(0.001)
    (summary,) = json.loads(timers.json())
    assert summary["count"] == 1025
    assert summary["_99thPercentile"] == pytest.approx(1)


def test_workers_show_and_reset_the_timers_of_all(tmp_path):
    first, second = (Timers(tmp_path, number) for number in range(2))
    first.timer("a").add(0.001)
    second.timer("a").add(0.003)
    second.timer("b").add(1)
    for timers in (first, second):
        a, b = json.loads(timers.json())
        assert (a["name"], a["count"], b["name"], b["count"]) == ("a", 2, "b", 1)
        assert a["mean"] == pytest.approx(2)
    replaced = Timers(tmp_path, 1)  # what the dead one has counted stays
    replaced.timer("b").add(1)
    assert [timer["count"] for timer in json.loads(first.json())] == [2, 2]
    first.reset()
    assert json.loads(replaced.json()) == []
    replaced.timer("b").add(1)
    assert [(timer["name"], timer["count"]) for timer in json.loads(first.json())] == [("b", 1)]


def test_timers_have_room_for_64_names():
    timers = Timers()
    for n in range(64):
        timers.timer(str(n)).add(1)
    with pytest.raises(ValueError, match="timer 'one more' has no room"):
        timers.timer("one more").add(1)
    with pytest.raises(ValueError, match="no room"):
        Timers().timer("x" * 65).add(1)


def test_timers_by_name_and_prefix():
    timers = Timers()
    for name in ("b.x", "a", "b.y"):
        with timers.time(name):
            pass
    assert [timer["name"] for timer in json.loads(timers.json())] == ["a", "b.x", "b.y"]
    assert [timer["name"] for timer in json.loads(timers.json(["b."]))] == ["b.x", "b.y"]
    timers.reset()
    assert json.loads(timers.json()) == []


def test_a_failed_call_counts():
    timers = Timers()
    with pytest.raises(KeyError), timers.time("t"):
        raise KeyError
    assert json.loads(timers.json())[0]["count"] == 1


def test_many_threads_lose_nothing():
    timers = Timers()

    def work():
        for _ in range(2000):
            with timers.time("t"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(timers.json())[0]["count"] == 8000


def test_the_exporters_names_and_buckets():
    port = free_port()
    exporter = Exporter("127.0.0.1", port)
    try:
        exporter.grpc_started("recall.Recall", "searchCandidates")
        exporter.grpc_handled("recall.Recall", "searchCandidates", "OK", 0.007)
        exporter.http_handled("recommend", "GET", 0.002)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        with pytest.raises(UnavailableError, match=f"monitorPort {port} is not free"):
            Exporter("127.0.0.1", port)
    finally:
        exporter.close()
    labels = 'grpc_method="searchCandidates",grpc_service="recall.Recall",grpc_type="UNARY"'
    assert f"grpc_server_started_total{{{labels}}} 1.0" in text
    assert 'grpc_server_handled_total{grpc_code="OK",' in text
    assert 'http_requests_total{http_method="GET",http_service="recommend"} 1.0' in text
    assert "http_requests_latency_seconds_bucket" in text
    lines = [line for line in text.splitlines() if line.startswith("grpc_server_handled_latency_seconds_bucket")]
    assert [float(line.rpartition(" ")[2]) for line in lines] == [0, 0] + [1] * (len(BUCKETS) - 1)
    milliseconds = (1, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 1000, 2000, 5000, 10000)
    assert [pytest.approx(ms / 1000) for ms in milliseconds] == list(BUCKETS)
