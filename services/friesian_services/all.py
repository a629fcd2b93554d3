"""The command that serves everything: in one process, or in five."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from friesian_services import fused, split
from friesian_services.config import AllConfig
from friesian_services.launch import prepare

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
) -> None:
    """Serve a release whole: one process unless --split.

    Example: friesian serve all --releases releases
    """
    settings = prepare(AllConfig, config, release_path=releases, service_port=grpc_port, http_port=http_port)
    if not in_split:
        fused.serve(settings)
        return
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
