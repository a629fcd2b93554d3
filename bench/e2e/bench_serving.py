"""`serve all` on a release of the walkthrough's size, a core for it and one for the load: the table of bench/README.md.

The original cannot be installed beside us; its five services, rebuilt with a substituted Redis client, Faiss binding
and HTTP front, were measured on the same kind of machine, all on one core. Those figures stand here as constants.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from bench.e2e import walkthrough_release
from bench.e2e.bench_fused import Stopwatch
from tests.services.processes import Served, free_port

from friesian_fast.rank import REFERENCE
from friesian_fast.recommend import open_recommender
from friesian_fast.release.open import open_release

ORIGINAL = {
    "CPU a request, 1 client, ms": 11.5,
    "CPU a request, 16 clients, ms": 7.2,
    "p50, 1 client, ms": 10.4,
    "requests/s, 16 clients": 143,
    "resident memory, MB": 4000,
}
AIM = {
    "CPU a request, 16 clients, ms": "at most 1",
    "of it outside the model run, ms": "at most 0.3",
    "p50, 1 client, ms": "under 1.2",
    "requests/s, 16 clients": "over 1,200",
    "resident memory, MB": "under 1,000",
    "in process: CPU outside the search and the model, µs": "under 150",
    "HTTP adds CPU, 16 clients, µs": "under 100",
    "gRPC adds CPU, 16 clients, µs": "under 200",
    "five processes: p50 beyond one's, 1 client, ms": "at most 2.5",
    "five processes, on all cores: p50 beyond one's, 1 client, ms": "at most 2.5",
}
# One core for the server (in five processes too) and one for the load; the same one where there is only one.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
SPLIT_PORTS = [text for name in ("recall", "feature-recall", "feature", "ranking") for text in (f"--{name}-port", 0)]
ROUNDS = 3
TURNS = 6  # of a round
CHECKED_USERS = 50
MIN_RECALL = 0.9  # of the exact 50 nearest, by the answers; publish tunes to 0.95 of 100

# Answers any request with the same bytes: what is left is the client's own cost.
ECHO = """
import asyncio, sys, uvloop
BODY = b'{"ids": [1], "probs": [0.5], "success": true}'
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(BODY)
class Echo(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(HEAD + BODY)
async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()
uvloop.run(main())
"""


# The same for gRPC, with grpcio's own server: what is left is what a call costs that does nothing.
GRPC_ECHO = """
import grpc, sys
from concurrent.futures import ThreadPoolExecutor
class Echo(grpc.GenericRpcHandler):
    def service(self, call): return grpc.unary_unary_rpc_method_handler(lambda request, context: bytes(120))
server = grpc.server(ThreadPoolExecutor(16))
server.add_generic_rpc_handlers([Echo()])
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
print("ready", flush=True)
server.wait_for_termination()
"""

# And with ours.
OUR_GRPC_ECHO = """
import grpc, sys, threading
from friesian_services.interceptor import CallInterceptor
from friesian_services.rpc.handlers import Servicer, always
from friesian_services.rpc.server import GrpcServer
nothing = grpc.unary_unary_rpc_method_handler(lambda request, context: request, bytes, lambda _: bytes(120))
def add(servicer, server):
    server.add_registered_method_handlers("friesian.v1.Recommender", {"Recommend": nothing})
echo = Servicer(add, None, "friesian.v1.Recommender", always)
server = GrpcServer("127.0.0.1", int(sys.argv[1]), [echo], CallInterceptor(), threads=0)
server.start()
print("ready", flush=True)
threading.Event().wait()
"""


@contextmanager
def pinned(*cores):
    """Processes started within run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def load(target, file, *arguments):
    command = [sys.executable, "-m", "friesian_fast.cli", "loadtest", "--target", target, "--json", str(file)]
    users = ["--users", f"1-{walkthrough_release.USERS}"]
    with pinned(CLIENT_CORE):
        subprocess.run([*command, *users, *map(str, arguments)], check=True, capture_output=True)
    return json.loads(file.read_text())


def check_answers(served, releases, users, items):
    """The chain's own answers, and nearly all of them among the exact nearest."""
    direct, near = open_recommender(open_release(releases, verify=False)), 0
    for user in np.random.default_rng(0).integers(1, walkthrough_release.USERS, CHECKED_USERS).tolist():
        with urllib.request.urlopen(f"{served.http()}/recommender/recommend/{user}?k=10&canK=50") as reply:
            body = json.load(reply)
        assert body["ids"] == direct.recommend(user, k=10, candidates=50).ids.tolist()
        exact = np.argsort(-(items @ users[user - 1]))[:50] + 1
        near += len(set(body["ids"]) & set(exact.tolist()))
    assert near >= MIN_RECALL * 10 * CHECKED_USERS


@contextmanager
def echoing(program):
    """The port of a server that answers everything with the same bytes, and its process."""
    port = free_port()
    with pinned(SERVER_CORE):
        echo = subprocess.Popen([sys.executable, "-c", program, str(port)], stdout=subprocess.PIPE)
    try:
        echo.stdout.readline()
        yield port, echo.pid
    finally:
        echo.terminate()
        echo.wait(10)


def test_the_clients_own_ceiling(benchmark, tmp_path, capsys):
    arguments = ("--clients", 16, "--duration", 5, "--warmup", 1)
    with echoing(ECHO) as (port, _):
        found = benchmark.pedantic(load, (f"127.0.0.1:{port}", tmp_path / "echo.json", *arguments), rounds=1)
    assert found["errors"] == {}
    client = found["client"]
    with capsys.disabled():
        print(f"\n  the HTTP client: {found['achieved_rate']:,.0f} requests/s, ", end="")
        print(f"{client['cpu_ms_per_request'] * 1e3:.1f} µs of CPU each, {client['cpu_share']:.0%} of its core")


def empty_call(folder, program):
    """CPU ms of a server for a gRPC call that does nothing, 16 clients: the least of the rounds."""
    arguments = ("--protocol", "grpc", "--clients", 16, "--duration", 4, "--warmup", 1)
    with echoing(program) as (port, pid):
        target, file = f"127.0.0.1:{port}", folder / "empty.json"
        rounds = [load(target, file, *arguments, "--server-pid", pid) for _ in range(ROUNDS)]
    return min(found["server"]["cpu_ms_per_request"] for found in rounds)


def on_reference(releases, to):
    """The release once more, ranked by the model as it was exported."""
    shutil.copytree(releases, to, copy_function=os.link)
    manifest = next(to.glob("*/manifest.json"))
    data = json.loads(manifest.read_text())
    data["ranker"] |= {"runtime": REFERENCE, "model": data["ranker"]["file"]}
    manifest.unlink()  # the first release's is not to change
    manifest.write_text(json.dumps(data))
    return to


def in_process(chain, seed):
    """CPU of a request without a server, and of its search and its model run, in ms: medians of 500."""
    search, score = Stopwatch(chain._recall._index.search), Stopwatch(chain._ranker.score)
    kept = chain._recall._index, chain._ranker
    chain._recall._index, chain._ranker = SimpleNamespace(search=search), SimpleNamespace(score=score)
    request, took = Stopwatch(chain.recommend), []
    for user in np.random.default_rng(seed).integers(1, walkthrough_release.USERS, 600).tolist():
        request(user, k=10, candidates=50)
        took.append((request.took[1], search.took[1], score.took[1]))
    chain._recall._index, chain._ranker = kept
    return dict(zip(("request", "search", "model"), 1e3 * np.median(took[100:], axis=0), strict=True))


def alone(chain, users):
    """CPU of a request without a server, in ms: the mean, as that of a server is."""
    started = time.thread_time()
    for user in users:
        chain.recommend(user, k=10, candidates=50)
    return 1e3 * (time.thread_time() - started) / len(users)


@contextmanager
def serving(releases, log, *flags, last="release", cores=(SERVER_CORE,)):
    with pinned(*cores):
        served = Served("all", "--releases", releases, "--http-port", 0, "-p", 0, *flags, last=last, log=log)
    try:
        yield served
    finally:
        assert served.stop() == 0


def ask(served, folder, protocol, clients, last="release", seconds=4):
    """One closed loop; what the load client found."""
    target = served.http(last).removeprefix("http://") if protocol == "http" else served.grpc(last)
    watched = ("--server-pid", served.process.pid, "--duration", seconds, "--warmup", seconds / 4)
    found = load(target, folder / f"{protocol}-{clients}.json", "--protocol", protocol, "--clients", clients, *watched)
    assert (found["errors"], found["fallbacks"]) == ({}, 0)
    return {
        "cpu": found["server"]["cpu_ms_per_request"],
        "p50": found["latency_ms"]["p50"],
        "rate": found["achieved_rate"],
        "memory": found["server"]["resident_mb_last"],
    }


def added(chain, served, folder, number):
    """CPU that HTTP and gRPC add, in ms: every load's between two runs in this process, since both drift by more."""
    found, rng = {"http": [], "grpc": []}, np.random.default_rng(number)

    def here():
        with pinned(SERVER_CORE):
            return alone(chain, rng.integers(1, walkthrough_release.USERS, 500).tolist())

    before = here()
    for _ in range(TURNS):
        for protocol, differences in found.items():
            served_cpu, after = ask(served, folder, protocol, 16, seconds=2)["cpu"], here()
            differences.append(served_cpu - (before + after) / 2)
            before = after
    return found


def with_quartiles(differences):
    """In µs."""
    low, middle, high = 1e3 * np.percentile(differences, (25, 50, 75))
    return f"{middle:.0f} (quartiles {low:.0f}, {high:.0f} of {len(differences)})"


def best(found):
    """Of several rounds the least of everything, and the highest rate."""
    return {name: (max if name == "rate" else min)(one[name] for one in found) for name in found[0]}


def measured(releases, folder, check):
    """All rows of the table but that of the five processes: the best of interleaved rounds, but of differences the
    median. Each round has processes' memory of its own."""
    folder.mkdir()
    rounds, over = [], {"http": [], "grpc": []}
    for number in range(ROUNDS):
        chain = open_recommender(open_release(releases, verify=False))
        with serving(releases, folder / "log") as served:
            check(served)
            with pinned(SERVER_CORE):
                direct = in_process(chain, number)
            loads = [ask(served, folder, *load) for load in (("http", 1), ("http", 16), ("grpc", 16))]
            rounds.append([direct, *loads])
            for protocol, differences in added(chain, served, folder, number).items():
                over[protocol] += differences
    direct, one, many, over_grpc = (best(found) for found in zip(*rounds, strict=True))
    return {
        "CPU a request, 1 client, ms": one["cpu"],
        "CPU a request, 16 clients, ms": many["cpu"],
        "of it outside the model run, ms": many["cpu"] - direct["model"],
        "p50, 1 client, ms": one["p50"],
        "requests/s, 16 clients": many["rate"],
        "gRPC: CPU a request, 16 clients, ms": over_grpc["cpu"],
        "gRPC: requests/s, 16 clients": over_grpc["rate"],
        "resident memory, MB": many["memory"],
        "in process: CPU of the model run, µs": 1e3 * direct["model"],
        "in process: CPU of the search, µs": 1e3 * direct["search"],
        "in process: CPU outside the search and the model, µs": 1e3
        * (direct["request"] - direct["model"] - direct["search"]),
        "HTTP adds CPU, 16 clients, µs": with_quartiles(over["http"]),
        "gRPC adds CPU, 16 clients, µs": with_quartiles(over["grpc"]),
    }


def split_beyond_fused(releases, folder, cores):
    """p50 of five processes beyond that of one, and their CPU, both on these cores, ms; by turns, the least of each."""
    found = {"release": [], "recommender": []}
    for _ in range(ROUNDS):
        for last, flags in (("release", ()), ("recommender", ("--split", *SPLIT_PORTS))):
            with serving(releases, folder / "log", *flags, last=last, cores=cores) as served:
                found[last].append(ask(served, folder, "http", 1, last=last))
    one, five = best(found["release"]), best(found["recommender"])
    return five["p50"] - one["p50"], five["cpu"]


def table(chosen, fp32, runtime):
    """Markdown, as it stands in the benches' README."""
    rows = [f"| what | {runtime} | onnxruntime-fp32 | aim | the original | times |", "|---|--:|--:|--:|--:|--:|"]
    for name, value in chosen.items():
        beside, theirs = fp32.get(name), ORIGINAL.get(name)
        times = "" if theirs is None else value / theirs if "requests/s" in name else theirs / value
        cells = (value, "" if beside is None else beside, AIM.get(name, ""), "" if theirs is None else theirs, times)
        rows.append("| " + " | ".join([name, *(c if isinstance(c, str) else f"{c:,.3g}" for c in cells)]) + " |")
    return "\n".join(rows)


@pytest.mark.slow
def test_serving(benchmark, tmp_path, capsys):
    releases, users, items = walkthrough_release.build(tmp_path)
    manifest = open_release(releases, verify=False).manifest

    def check(served):
        check_answers(served, releases, users, items)

    chosen = benchmark.pedantic(measured, (releases, tmp_path / "chosen", check), rounds=1)
    fp32 = measured(on_reference(releases, tmp_path / "fp32_releases"), tmp_path / "fp32", lambda _: None)
    for whose, program in (("grpcio", GRPC_ECHO), ("ours", OUR_GRPC_ECHO)):
        chosen[f"an empty call of {whose}: CPU, 16 clients, µs"] = 1e3 * empty_call(tmp_path, program)
    for where, cores in (("", (SERVER_CORE,)), (", on all cores", CORES)):
        beyond, cpu = split_beyond_fused(releases, tmp_path, cores)
        chosen[f"five processes{where}: p50 beyond one's, 1 client, ms"] = beyond
        chosen[f"five processes{where}: CPU a request, 1 client, ms"] = cpu
    benchmark.extra_info.update(chosen)
    index = manifest.index
    with capsys.disabled():
        lists = f"at most {index.most_lists}" if index.margin else f"{index.nprobe}"
        print(f"\nThe search probes {lists} of {index.nlist} lists for a recall of {index.recall:.3f}.\n")
        print(table(chosen, fp32, manifest.ranker.runtime))
