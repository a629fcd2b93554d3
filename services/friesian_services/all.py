"""The command that serves everything: in one process, in several alike, or in five."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from friesian_fast.errors import ConfigError
from friesian_services import fused, split
from friesian_services.config import AllConfig
from friesian_services.launch import ReadyOption, WorkerOption, WorkersOption, prepare, start
from friesian_services.place import Place

_SPLIT = "With --split."


def main(
    releases: Annotated[
        Path | None, typer.Option("--releases", "--release-path", help="A directory of releases with CURRENT, or one.")
    ] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="YAML with further settings.")] = None,
    http_port: Annotated[int | None, typer.Option(help="HTTP; 8000 unless given, 0 picks a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option("-p", "--grpc-port", help="gRPC; 8980 unless given.")] = None,
    in_split: Annotated[bool, typer.Option("--split", help="Five processes, wired over gRPC.")] = False,
    recall_port: Annotated[int, typer.Option(help=_SPLIT, envvar="FRIESIAN_RECALL_PORT")] = 8084,
    feature_recall_port: Annotated[int, typer.Option(help=_SPLIT, envvar="FRIESIAN_FEATURE_RECALL_PORT")] = 8085,
    feature_port: Annotated[int, typer.Option(help=_SPLIT, envvar="FRIESIAN_FEATURE_PORT")] = 8082,
    ranking_port: Annotated[int, typer.Option(help=_SPLIT, envvar="FRIESIAN_RANKING_PORT")] = 8083,
    workers: WorkersOption = None,
    ready_fd: ReadyOption = None,
    worker: WorkerOption = None,
) -> None:
    """Serve a release whole: one process unless --split or --workers.

    Example: friesian serve all --releases releases
    """
    place = Place.of(ready_fd, worker)
    settings = prepare(
        AllConfig, place, config, release_path=releases, service_port=grpc_port, http_port=http_port, workers=workers
    )
    if not in_split:
        start("all", settings, place, fused.serve)
        return
    if settings.workers > 1:
        raise ConfigError(
            f"{settings.workers} workers and --split exclude each other: start the five services by themselves, each "
            "with as many --workers as it needs"
        )
    ports = split.Ports(
        recall=recall_port,
        feature_recall=feature_recall_port,
        feature=feature_port,
        ranking=ranking_port,
        grpc=settings.port,
        http=settings.http_port,
    )
    split.serve(
        settings.release_path,
        ports,
        config=config,
        host=settings.host,
        drain_s=settings.drain_seconds,
        monitor_port=settings.monitor_port,
    )
