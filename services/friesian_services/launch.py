"""What the services' commands share: their flags, how they read their settings, and who then serves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from friesian_services.config import Config, ServiceConfig, ServiceSettings, load_config
from friesian_services.metrics import Exporter
from friesian_services.place import Place
from friesian_services.process import log_to_stderr
from friesian_services.timers import Timers, log_regularly
from friesian_services.workers import read_settings, supervise

ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", help="YAML with the service's settings.")]
PortOption = Annotated[int | None, typer.Option("-p", "--port", help="Port; 0 picks a free one and prints it.")]
ReleaseOption = Annotated[
    Path | None, typer.Option("--release-path", help="A release, or a directory of releases with CURRENT.")
]
WorkersOption = Annotated[int | None, typer.Option("--workers", help="Processes that share the port; 1 unless given.")]
ReadyOption = Annotated[int | None, typer.Option("--ready-fd", hidden=True)]
WorkerOption = Annotated[Path | None, typer.Option("--worker", hidden=True)]


def prepare(kind: type[Config], place: Place, config: Path | None, **flags: Any) -> Config:
    """Log, and read the settings; a worker has those of its supervisor."""
    log_to_stderr()
    return load_config(kind, config, flags) if place.shared is None else read_settings(kind, sys.stdin)


def start(
    service: str, settings: ServiceSettings, place: Place, serve: Callable[[ServiceSettings, Place], None]
) -> None:
    """Serve, or have as many workers do it as the settings want."""
    if settings.workers > 1 and place.shared is None:
        supervise(service, settings, place)
    else:
        serve(settings, place)


def observe(config: ServiceConfig, place: Place) -> tuple[Timers, Exporter | None]:
    """The timers, logged now and then, and the Prometheus metrics if there is a port for them."""
    timers = Timers(place.shared, place.number)
    if place.number == 0:  # of workers one logs what all have counted
        log_regularly(timers, config.log_interval)
    if not config.monitor_port:
        return timers, None
    return timers, Exporter(config.host, config.monitor_port, place.shared, place.number)


def launch(main: Callable[..., None]) -> None:
    """Run a service's command from ``python -m``."""
    from friesian_fast.cli.errors import reported

    typer.run(reported(main))
