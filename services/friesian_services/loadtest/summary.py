"""What a load test found, in numbers: a mapping that is JSON as it stands."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_services.loadtest.plan import LoadPlan
from friesian_services.loadtest.run import Record

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_SLOTS = 60
_SHORTEST_SLOT_S = 0.1
_LATE_MS = 1.0
_BUSY = 0.9
_KEPT_UP = 0.98

Floats = NDArray[np.float64]


def summarize(plan: LoadPlan, record: Record, server_pid: int | None = None) -> dict[str, Any]:
    """Percentiles are exact, by nearest rank; times are in milliseconds; the record's order of events does not matter.

    Parameters
    ----------
    plan : LoadPlan
    record : Record
    server_pid : int, optional

    Returns
    -------
    dict
        With ``requests``, ``answered``, ``fallbacks``, ``errors`` by kind, ``asked_rate``, ``achieved_rate``,
        ``latency_ms``, ``send_delay_ms``, ``client``, ``server``, ``over_time`` and ``warnings``.
    """
    latency = np.sort(np.array(record.latency)) * 1e3
    delay = np.sort(np.array(record.delay)) * 1e3
    errors = dict(record.errors.most_common())
    answered = len(latency) - errors.get("timeout", 0)
    elapsed = max(record.end, record.last) - record.begin
    found: dict[str, Any] = {
        "plan": asdict(plan),
        "mode": "open loop" if plan.is_open else "closed loop",
        "requests": answered + sum(errors.values()),
        "answered": answered,
        "fallbacks": record.fallbacks,
        "errors": errors,
        "elapsed_s": elapsed,
        "asked_rate": plan.rate,
        "achieved_rate": answered / elapsed,
        "latency_ms": _distribution(latency),
        "send_delay_ms": _distribution(delay) if plan.is_open else None,
        "client": _client(record),
        "server": _server(record, server_pid),
        "over_time": _over_time(plan, record),
        "curve": _curve(latency),
    }
    found["warnings"] = _warnings(plan, found, server_pid)
    return found


def percentile(ordered: Floats, percent: float) -> float:
    """The smallest value that at least so many percent do not exceed.

    Parameters
    ----------
    ordered : array of float64, shape (n,), n > 0
    percent : float
    """
    # The rounding takes back what floating point adds: 99.9 % of 1000 is the 999th.
    rank = math.ceil(round(percent / 100 * len(ordered), 6))
    return float(ordered[max(rank, 1) - 1])


def _distribution(ordered: Floats) -> dict[str, float] | None:
    if not len(ordered):
        return None
    found = {"mean": float(ordered.mean())}
    found |= {f"p{percent:g}": percentile(ordered, percent) for percent in PERCENTILES}
    return found | {"max": float(ordered[-1])}


def _curve(ordered: Floats) -> list[tuple[float, float]]:
    """Percent and latency, finer towards the end, as far as there are requests for it."""
    if not len(ordered):
        return []
    nines = math.log10(len(ordered))
    percents = [100 * (1 - 10 ** (-nines * step / 100)) for step in range(101)]
    return [(percent, percentile(ordered, percent)) for percent in percents]


def _client(record: Record) -> dict[str, Any]:
    first, last = record.edges
    cpu_s, finished = last.client_cpu_s - first.client_cpu_s, last.finished - first.finished
    return {
        "cpu_share": cpu_s / (last.at - first.at),
        "cpu_ms_per_request": cpu_s / finished * 1e3 if finished else None,
        "connections": record.connections,
        "waited_for_connection": record.waited,
    }


def _server(record: Record, server_pid: int | None) -> dict[str, Any] | None:
    first, last = record.edges
    if first.server is None or last.server is None:
        return None
    cpu_s, finished = last.server.cpu_s - first.server.cpu_s, last.finished - first.finished
    return {
        "pid": server_pid,
        "processes": last.server.processes,
        "cpu_share": cpu_s / (last.at - first.at),
        "cpu_ms_per_request": cpu_s / finished * 1e3 if finished else None,
        "resident_mb_first": first.server.resident_bytes / 1e6,
        "resident_mb_last": last.server.resident_bytes / 1e6,
    }


def _over_time(plan: LoadPlan, record: Record) -> list[dict[str, float | None]]:
    """By when the requests were due."""
    count = max(1, min(_SLOTS, int(plan.duration_s / _SHORTEST_SLOT_S)))
    width = plan.duration_s / count
    due, latency = np.array(record.due), np.array(record.latency) * 1e3
    slots = np.clip(((due - record.begin) / width).astype(np.int64), 0, count - 1)
    failed = np.clip(((np.array(record.error_due) - record.begin) / width).astype(np.int64), 0, count - 1)
    errors = np.bincount(failed, minlength=count)
    order = np.argsort(slots, kind="stable")
    parts = np.split(latency[order], np.cumsum(np.bincount(slots, minlength=count))[:-1])
    found: list[dict[str, float | None]] = []
    for number, part in enumerate(parts):
        ordered = np.sort(part)
        found.append(
            {
                "at_s": number * width,
                "rate": len(part) / width,
                "p50": percentile(ordered, 50) if len(part) else None,
                "p99": percentile(ordered, 99) if len(part) else None,
                "errors": int(errors[number]),
            }
        )
    return found


def _warnings(plan: LoadPlan, found: dict[str, Any], server_pid: int | None) -> list[str]:
    """Where the client, and not the server, may have made the numbers."""
    said = []
    delay, client = found["send_delay_ms"], found["client"]
    if delay is not None and delay["p99"] > _LATE_MS:
        said.append(
            f"the client could not keep up: 1 % of the requests were sent more than {delay['p99']:.1f} ms after they "
            "were due, which is part of their latency; lower the rate, or give the client a core of its own"
        )
    if client["cpu_share"] > _BUSY:
        said.append(f"the client used {client['cpu_share']:.0%} of a core: it may be the client that limits the rate")
    if client["waited_for_connection"]:
        said.append(
            f"{client['waited_for_connection']} requests found all {plan.most_connections} connections taken and "
            "waited, which is part of their latency; --connections allows more"
        )
    if plan.rate is not None and found["achieved_rate"] < _KEPT_UP * found["requests"] / plan.duration_s:
        said.append(f"{found['achieved_rate']:,.0f} answers a second of {plan.rate:,.0f} asked for: it was too much")
    if server_pid is not None and found["server"] is None:
        said.append(f"process {server_pid} ended during the test: nothing is known of its CPU time")
    return said
