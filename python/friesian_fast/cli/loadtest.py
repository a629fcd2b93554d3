"""`friesian loadtest`: load on a running recommender, and its latencies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from friesian_fast._files import replacing
from friesian_fast.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from friesian_services.loadtest.plan import LoadPlan


TargetOption = Annotated[
    str | None, typer.Option(help="host:port; unless given 127.0.0.1 with port 8000 for HTTP, 8980 for gRPC.")
]
ClientsOption = Annotated[
    int | None, typer.Option(help="Closed loop: clients that wait for each answer; 1 unless --rate is given.")
]
ReleasesOption = Annotated[
    Path | None, typer.Option("--releases", "--release-path", help="Instead: the users of a release.")
]
PidOption = Annotated[int | None, typer.Option(help="Read this process's CPU time and memory, with its children's.")]


def loadtest(
    protocol: Annotated[str, typer.Option(help="http, grpc (friesian.v1) or grpc-original.")] = "http",
    target: TargetOption = None,
    rate: Annotated[float | None, typer.Option(help="Open loop: requests a second, answered or not.")] = None,
    clients: ClientsOption = None,
    arrivals: Annotated[str, typer.Option(help="poisson or constant, with --rate.")] = "poisson",
    users: Annotated[str | None, typer.Option(help="FIRST-LAST, or a file with one user id a line.")] = None,
    releases: ReleasesOption = None,
    k: Annotated[int, typer.Option(help="Items asked for.")] = 10,
    candidates: Annotated[int, typer.Option(help="canK.")] = 50,
    duration: Annotated[float, typer.Option(help="Seconds measured.")] = 10.0,
    warmup: Annotated[float, typer.Option(help="Seconds of the same load before, not measured.")] = 2.0,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request is an error.")] = 10.0,
    connections: Annotated[int, typer.Option(help="At most, with --rate.")] = 256,
    seed: Annotated[int, typer.Option(help="Of users and arrivals.", min=0)] = 0,
    server_pid: PidOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all numbers to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write charts to this .html or .svg file.")] = None,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Let --target be another machine.")] = False,
) -> None:
    """Send requests to a running recommender; latencies are exact, and those of --rate count from when each was due.

    Example: friesian loadtest --rate 300 --releases releases --plot load.html
    """
    from friesian_services.loadtest.run import run_load
    from friesian_services.loadtest.summary import summarize
    from friesian_services.loadtest.users import read_users

    if plot is not None and plot.suffix not in (".html", ".svg"):
        raise InvalidInputError(f"--plot is '{plot}'; name a file that ends in .html or .svg")
    load = {"rate": rate, "clients": 1 if rate is None and clients is None else clients, "arrivals": arrivals}
    times = {"duration_s": duration, "warmup_s": warmup, "timeout_s": timeout}
    numbers = {"k": k, "candidates": candidates, "connections": connections, "seed": seed}
    plan = _plan(protocol, target, allow_remote, {**load, **times, **numbers})
    record = run_load(plan, read_users(users, releases), server_pid)
    _report(summarize(plan, record, server_pid), json_file, plot)


def _plan(protocol: Any, target: str | None, allow_remote: bool, options: dict[str, Any]) -> LoadPlan:
    from friesian_services.loadtest.plan import LoadPlan, address_of

    host, port = address_of(target, protocol, allow_remote=allow_remote)
    return LoadPlan(protocol=protocol, host=host, port=port, **options)


def _report(found: dict[str, Any], json_file: Path | None, plot: Path | None) -> None:
    """Table on stdout, files, and a failure if nothing was answered."""
    from rich.console import Console
    from rich.table import Table

    from friesian_services.loadtest.plot import html_of, svg_of

    rows = table_rows(found)
    console = Console()
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
    for text in found["warnings"]:
        console.print(f"note: {text}", soft_wrap=True, markup=False, highlight=False)
    if json_file is not None:
        _write(json_file, json.dumps(found, indent=1, allow_nan=False) + "\n")
    if plot is not None:
        _write(plot, html_of(found, rows) if plot.suffix == ".html" else svg_of(found))
    if not found["answered"]:
        raise UnavailableError(f"none of {found['requests']} requests was answered: {_kinds(found['errors'])}")


def table_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What the terminal and the HTML page show: names and values."""
    plan, client, server = found["plan"], found["client"], found["server"]
    load = f"{plan['clients']} clients"
    if found["asked_rate"] is not None:
        load = f"{found['asked_rate']:,g} requests/s, {plan['arrivals']}"
    rows = [
        ("load", f"{found['mode']}, {load}, {plan['protocol']}, {plan['duration_s']:g} s"),
        ("requests answered", f"{found['answered']:,} of {found['requests']:,}"),
        ("answered with the popular items", f"{found['fallbacks']:,}"),
        ("errors", _kinds(found["errors"])),
        ("answers a second", f"{found['achieved_rate']:,.1f}"),
    ]
    rows += [(f"latency {name}, ms", f"{value:,.3f}") for name, value in (found["latency_ms"] or {}).items()]
    if found["send_delay_ms"]:
        delay = found["send_delay_ms"]
        rows.append(("sent late by the client, p50 / p99, ms", f"{delay['p50']:.3f} / {delay['p99']:.3f}"))
    rows.append(("client", f"{client['cpu_share']:.0%} of a core, {client['connections']} connections"))
    if server is not None:
        cpu = server["cpu_ms_per_request"]
        memory = f"{server['resident_mb_first']:,.0f} → {server['resident_mb_last']:,.0f}"
        rows.append(("server CPU a request, ms", "none finished" if cpu is None else f"{cpu:.3f}"))
        rows.append((f"server memory, MB, {server['processes']} process(es)", memory))
    return rows


def _kinds(errors: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in errors.items()) or "none"


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
