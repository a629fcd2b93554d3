"""What the services' commands share: their flags, and how a command ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from friesian_services.config import Config, ServiceConfig, load_config
from friesian_services.metrics import Exporter, Timers, log_regularly
from friesian_services.server import Supervisor, log_to_stderr

ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", help="YAML with the service's settings.")]
PortOption = Annotated[int | None, typer.Option("-p", "--port", help="Port; 0 picks a free one and prints it.")]
ReleaseOption = Annotated[
    Path | None, typer.Option("--release-path", help="A release, or a directory of releases with CURRENT.")
]
ReadyOption = Annotated[int | None, typer.Option("--ready-fd", hidden=True)]


def prepare(kind: type[Config], config: Path | None, **flags: Any) -> Config:
    """Log, and read the settings."""
    log_to_stderr()
    return load_config(kind, config, flags)


def observe(config: ServiceConfig) -> tuple[Timers, Exporter | None]:
    """The timers, logged now and then, and the Prometheus exporter if there is a port for it."""
    timers = Timers()
    log_regularly(timers, config.log_interval)
    return timers, Exporter(config.host, config.monitor_port) if config.monitor_port else None


def supervisor_of(ready_fd: int | None) -> Supervisor | None:
    """Who started this process, if it was a supervisor."""
    return None if ready_fd is None else Supervisor(ready_fd)


def launch(main: Callable[..., None]) -> None:
    """Run a service's command from ``python -m``."""
    from friesian_fast.cli.errors import reported

    typer.run(reported(main))
