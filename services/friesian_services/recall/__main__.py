"""Flags, settings, server: the recall service."""

from __future__ import annotations

from typing import Annotated

import typer

from friesian_fast.recommend import RulesStage, open_recall
from friesian_fast.release.open import open_release
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import recall_pb2_grpc
from friesian_services.client import RemoteRowStore, connect
from friesian_services.config import RecallConfig
from friesian_services.launch import (
    ConfigOption,
    PortOption,
    ReadyOption,
    ReleaseOption,
    WorkerOption,
    WorkersOption,
    launch,
    observe,
    prepare,
    start,
)
from friesian_services.place import Place
from friesian_services.recall.servicer import CandidatesServicer, RecallServicer
from friesian_services.rpc.handlers import Servicer
from friesian_services.rpc.server import run_grpc
from friesian_services.wiring import check_index, open_index


def main(
    config: ConfigOption = None,
    port: PortOption = None,
    release_path: ReleaseOption = None,
    feature_service_url: Annotated[
        str | None, typer.Option(help="host:port of the feature_recall service; localhost:8085 unless given.")
    ] = None,
    workers: WorkersOption = None,
    ready_fd: ReadyOption = None,
    worker: WorkerOption = None,
) -> None:
    """The nearest items of a user; vectors come from feature_recall.

    Example: friesian serve recall -c config_recall.yaml
    """
    place = Place.of(ready_fd, worker)
    settings = prepare(
        RecallConfig,
        place,
        config,
        service_port=port,
        release_path=release_path,
        feature_service_url=feature_service_url,
        workers=workers,
    )
    start("recall", settings, place, serve)


def serve(settings: RecallConfig, place: Place) -> None:
    """Answer until told to stop."""
    release = open_release(settings.release_path, huge_pages=settings.huge_pages)
    check_index(release, settings.index_path, settings.index_dim)
    timers, exporter = observe(settings, place)
    vectors = RemoteRowStore(
        connect("feature_recall", settings.feature_service_url),
        release.spec.row_set("user_vector"),
        release.spec.row_tag("user_vector"),
        release.id,
    )
    index = open_index(release)
    source = open_recall(release, index, vectors, timers.time, RulesStage.of(release, index))
    id_type = vectors.row_set.id_type
    candidates = CandidatesServicer(source, id_type, release.spec.row_set("item").id_type, release.id)
    servicers = [
        Servicer(
            recall_pb2_grpc.add_RecallServicer_to_server, RecallServicer(source, id_type, timers), "recall.Recall"
        ),
        Servicer(v1_grpc.add_RecallServicer_to_server, candidates, "friesian.v1.Recall"),
    ]
    run_grpc("recall", settings, servicers, exporter, place)


if __name__ == "__main__":
    launch(main)
