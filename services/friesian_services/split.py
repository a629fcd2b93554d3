"""The five services as processes of their own, started in the order they need each other, and ended together."""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friesian_fast.errors import FriesianError
from friesian_services.child import START_S, Child
from friesian_services.server import say

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the five listen; 0 is a free port."""

    recall: int = 8084
    feature_recall: int = 8085
    feature: int = 8082
    ranking: int = 8083
    grpc: int = 8980
    http: int = 8000


def serve(
    release_path: Path, ports: Ports, *, config: Path | None, host: str, drain_s: float, monitor_port: int = 0
) -> None:
    """Run the five until told to stop; those started first have the higher of five monitor ports.

    Raises
    ------
    FriesianError
        If one of them ends on its own; the others are ended then.
    """
    events: queue.SimpleQueue[Child | str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: events.put(signal.Signals(got).name))
    children: list[Child] = []
    common = ["--release-path", str(release_path), *([] if config is None else ["--config", str(config)])]
    try:
        _start(children, common, ports, host, monitor_port)
        for child in children:
            threading.Thread(target=_watch, args=(child, events), name=child.service, daemon=True).start()
        event = events.get()
        if isinstance(event, Child):
            raise FriesianError(
                f"{event.name} ended with status {event.process.returncode}; its message is above, if it "
                "had time for one. The others are stopped"
            )
        _log.info("%s, draining", event)
    finally:
        # The last one started is the one that is asked from outside.
        for child in reversed(children):
            child.stop(drain_s)


def _start(children: list[Child], common: list[str], ports: Ports, host: str, monitor_port: int) -> None:
    until = time.monotonic() + START_S
    # One each; the recommender has the one that was asked for.
    monitor_ports = [monitor_port + n if monitor_port else 0 for n in range(5)]

    def start(service: str, port: int, **urls: Any) -> Child:
        flags = [text for name, value in urls.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        environment = {"FRIESIAN_MONITORPORT": str(monitor_ports.pop())}
        child = Child(f"the {service} service", service, [*common, "-p", str(port), *flags], environment)
        children.append(child)
        return child

    def ready(child: Child) -> str:
        addresses = child.addresses(until)
        say(f"{child.service} is ready: {', '.join(f'{kind} {where}' for kind, where in addresses.items())}")
        return f"{'127.0.0.1' if host == '0.0.0.0' else host}:{addresses['gRPC'].rpartition(':')[2]}"

    feature_recall = start("feature_recall", ports.feature_recall)
    feature, ranking = start("feature", ports.feature), start("ranking", ports.ranking)
    recall = start("recall", ports.recall, feature_service_url=ready(feature_recall))
    urls = {"feature_service_url": ready(feature), "ranking_service_url": ready(ranking)}
    urls["recall_service_url"] = ready(recall)
    ready(start("recommender", ports.grpc, http_port=ports.http, **urls))


def _watch(child: Child, events: queue.SimpleQueue[Child | str]) -> None:
    child.process.wait()
    events.put(child)
