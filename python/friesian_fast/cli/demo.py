"""`friesian demo`: a use case from raw logs to a serving recommender."""

from __future__ import annotations

import http.client
import importlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from friesian_fast.errors import FriesianError
from friesian_fast.usecases.pipeline import Step, StepTime, end_with_parent, exclusive, run_pipeline

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 30.0
K = 10

console = Console(highlight=False, soft_wrap=True)


def demo(
    usecase: Annotated[Literal["recsys2021", "online_retail"], typer.Argument(help="The use case.")] = "recsys2021",
    directory: Annotated[Path, typer.Option("--dir", help="Everything lives under DIR/<usecase>.")] = Path("demo"),
    once: Annotated[bool, typer.Option("--once", help="Exit after the answers.")] = False,
    http_port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    grpc_port: Annotated[int, typer.Option(min=1, max=65535)] = 8980,
) -> None:
    """Run a use case's steps, serve its release and ask for two users.

    A second run reuses what is there; a killed one goes on where it stopped.

    Example: friesian demo recsys2021 --once
    """
    plan = importlib.import_module(f"friesian_fast.usecases.{usecase}.demo")
    _require_free(http_port, "--http-port")
    _require_free(grpc_port, "--grpc-port")
    home = (directory / usecase).resolve()
    with exclusive(home):
        _run_steps(plan.STEPS, home)
        server = _start_server(home, http_port, grpc_port)
        try:
            _wait_until_ready(server, http_port)
            for user in plan.USERS:
                _ask_http(user, http_port)
            _ask_grpc(plan.USERS[0], plan.USER_ID_TYPE, grpc_port)
            _say_where_to_look(home, http_port, grpc_port)
            if not once:
                console.print("\nServing until Ctrl-C.")
                _wait(server)
        except KeyboardInterrupt:
            console.print("\nStopping.")
        finally:
            _stop(server)


def _require_free(port: int, option: str) -> None:
    """Say so now, not after the steps; the server checks again when it binds."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            raise FriesianError(f"port {port} is in use ({error.strerror}); name another with {option}") from error


def _run_steps(steps: tuple[Step, ...], home: Path) -> None:
    def announce(step: Step) -> None:
        console.rule(f"[bold]{step.name}[/]  python -m {step.module} {' '.join(step.arguments)}", align="left")

    costs = list(run_pipeline(steps, home, announce))
    console.print(_cost_table(costs))


def _cost_table(costs: list[StepTime]) -> Table:
    table = Table(title="What each step took", title_justify="left")
    table.add_column("step")
    table.add_column("wall s", justify="right")
    table.add_column("CPU s", justify="right")
    table.add_column("")
    for cost in costs:
        table.add_row(cost.name, f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", "reused" if cost.reused else "")
    table.add_section()
    table.add_row("all", f"{sum(c.wall_s for c in costs):.1f}", f"{sum(c.cpu_s for c in costs):.1f}", "")
    return table


def _start_server(home: Path, http_port: int, grpc_port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "friesian_fast.cli", "serve", "all", "--releases", str(home / "releases")]
    command += ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    return subprocess.Popen(command, preexec_fn=end_with_parent)


def _ask_http(user: str, http_port: int) -> None:
    path = f"/recommender/recommend/{user}?k={K}"
    started = time.perf_counter()
    answer = _get(http_port, path)
    elapsed_ms = (time.perf_counter() - started) * 1000
    console.print(f"\n[bold]curl 'http://localhost:{http_port}{path}'[/]  → {answer.status} in {elapsed_ms:.1f} ms")
    console.print(answer.body.decode(), markup=False)


def _ask_grpc(user: str, id_type: str, grpc_port: int) -> None:
    import grpc
    from friesian_services._pb import friesian_v1_pb2 as v1
    from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc

    users = (
        v1.Ids(string=v1.Strings(values=[user])) if id_type == "string" else v1.Ids(int64=v1.Int64s(values=[int(user)]))
    )
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        reply = v1_grpc.RecommenderStub(channel).Recommend(
            v1.RecommendRequest(users=users, k=K), timeout=REQUEST_TIMEOUT_S
        )
    ids = reply.recommendations[0].ids
    console.print(f"\n[bold]gRPC friesian.v1.Recommender/Recommend for user {user}[/], release {reply.release_id}")
    console.print(str(list(ids.string.values or ids.int64.values)), markup=False)


def _wait_until_ready(server: subprocess.Popen[bytes], http_port: int) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise FriesianError(f"the server ended with status {server.returncode}; what it printed says why")
        try:
            if _get(http_port, "/readyz").status == http.client.OK:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise FriesianError(f"the server was not ready on port {http_port} after {READY_TIMEOUT_S:.0f} s")


class _Answer(NamedTuple):
    status: int
    body: bytes


def _get(http_port: int, path: str) -> _Answer:
    connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=REQUEST_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return _Answer(response.status, response.read())
    finally:
        connection.close()


def _say_where_to_look(home: Path, http_port: int, grpc_port: int) -> None:
    console.print(
        f"\nThe release is in {home / 'releases'}."
        f"\nHTTP: curl 'http://localhost:{http_port}/recommender/recommend/<user>?k={K}'"
        f"\ngRPC: localhost:{grpc_port}, recommender.Recommender and friesian.v1.Recommender, reflection on"
    )


def _wait(server: subprocess.Popen[bytes]) -> None:
    if server.wait() != 0:
        raise FriesianError(f"the server ended with status {server.returncode}; what it printed says why")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is not None:
        return
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
