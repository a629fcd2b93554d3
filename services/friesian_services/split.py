"""The five services as processes of their own, started in the order they need each other, and ended together."""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friesian_fast.errors import FriesianError
from friesian_services.child import START_S, Child, stop_all
from friesian_services.process import next_event, say

_STARTED = "started"

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
    common = ["--release-path", str(release_path), *([] if config is None else ["--config", str(config)])]
    five = _Five(common, ports, host, monitor_port)
    with ThreadPoolExecutor(1, thread_name_prefix="start") as pool:
        begun = pool.submit(five.start)
        begun.add_done_callback(lambda _: events.put(_STARTED))
        try:
            event = next_event(events)  # a signal may come first: what starts takes up to minutes
            if event == _STARTED:
                begun.result()
                for child in five.children:
                    threading.Thread(target=_watch, args=(child, events), name=child.service, daemon=True).start()
                event = next_event(events)
            if isinstance(event, Child):
                raise FriesianError(
                    f"{event.name} ended with status {event.process.returncode}; its message is above, if it "
                    "had time for one. The others are stopped"
                )
            _log.info("%s, draining", event)
        finally:
            five.stop(drain_s)


class _Five:
    """The processes, in the order they were started in."""

    def __init__(self, common: list[str], ports: Ports, host: str, monitor_port: int) -> None:
        self.children: list[Child] = []
        self._common, self._ports, self._host = common, ports, host
        self._until = time.monotonic() + START_S
        # One each; the recommender has the one that was asked for.
        self._monitor_ports = [monitor_port + n if monitor_port else 0 for n in range(5)]
        self._lock = threading.Lock()
        self._stopping = False

    def start(self) -> None:
        ports = self._ports
        feature_recall = self._begin("feature_recall", ports.feature_recall)
        feature, ranking = self._begin("feature", ports.feature), self._begin("ranking", ports.ranking)
        recall = self._begin("recall", ports.recall, feature_service_url=self._ready(feature_recall))
        urls = {"feature_service_url": self._ready(feature), "ranking_service_url": self._ready(ranking)}
        urls["recall_service_url"] = self._ready(recall)
        self._ready(self._begin("recommender", ports.grpc, http_port=ports.http, **urls))

    def stop(self, drain_s: float) -> None:
        """Those first that are asked from outside, then those that they ask; a hung one costs its round one time."""
        with self._lock:
            self._stopping = True
        for services in (("recommender",), ("recall", "feature", "ranking"), ("feature_recall",)):
            stop_all([child for child in self.children if child.service in services], drain_s)

    def _begin(self, service: str, port: int, **urls: Any) -> Child:
        flags = [text for name, value in urls.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        environment = {"FRIESIAN_MONITORPORT": str(self._monitor_ports.pop())}
        with self._lock:
            if self._stopping:
                raise FriesianError(f"told to stop before the {service} service was started")
            arguments = [*self._common, "-p", str(port), *flags]
            self.children.append(Child(f"the {service} service", service, arguments, environment))
        return self.children[-1]

    def _ready(self, child: Child) -> str:
        addresses = child.addresses(self._until)
        say(f"{child.service} is ready: {', '.join(f'{kind} {where}' for kind, where in addresses.items())}")
        return f"{'127.0.0.1' if self._host == '0.0.0.0' else self._host}:{addresses['gRPC'].rpartition(':')[2]}"


def _watch(child: Child, events: queue.SimpleQueue[Child | str]) -> None:
    child.process.wait()
    events.put(child)
