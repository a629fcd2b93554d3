"""Flags, settings, server: the feature service, and the second one that holds the vectors."""

from __future__ import annotations

from friesian_fast.release.open import open_release
from friesian_services._pb import feature_pb2_grpc
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services.config import FeatureConfig, FeatureRecallConfig
from friesian_services.feature.servicer import FeatureServicer, RowsServicer
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
from friesian_services.process import cores_here
from friesian_services.rpc.handlers import Servicer
from friesian_services.rpc.server import run_grpc
from friesian_services.wiring import open_stores, served_row_sets

_SHORT_BYTES = 8192  # some 1,000 ids


def main(
    config: ConfigOption = None,
    port: PortOption = None,
    release_path: ReleaseOption = None,
    workers: WorkersOption = None,
    ready_fd: ReadyOption = None,
    worker: WorkerOption = None,
) -> None:
    """User and item rows, from the release or from Redis.

    Example: friesian serve feature -c config_feature.yaml
    """
    place = Place.of(ready_fd, worker)
    settings = prepare(FeatureConfig, place, config, service_port=port, release_path=release_path, workers=workers)
    start("feature", settings, place, serve)


def main_vectors(
    config: ConfigOption = None,
    port: PortOption = None,
    release_path: ReleaseOption = None,
    workers: WorkersOption = None,
    ready_fd: ReadyOption = None,
    worker: WorkerOption = None,
) -> None:
    """User vectors, from the release or from Redis.

    Example: friesian serve feature_recall -c config_feature_vec.yaml
    """
    place = Place.of(ready_fd, worker)
    settings = prepare(
        FeatureRecallConfig, place, config, service_port=port, release_path=release_path, workers=workers
    )
    start("feature_recall", settings, place, serve)


def serve(settings: FeatureConfig, place: Place) -> None:
    """Answer until told to stop."""
    vectors = isinstance(settings, FeatureRecallConfig)
    release = open_release(settings.release_path, huge_pages=settings.huge_pages)
    stores = open_stores(release, served_row_sets(settings, vectors), settings)
    timers, exporter = observe(settings, place)
    rows = RowsServicer(stores, release.id, timers)
    waits = settings.redis is not None
    servicers = [
        Servicer(feature_pb2_grpc.add_FeatureServicer_to_server, FeatureServicer(timers), "feature.Feature"),
        Servicer(v1_grpc.add_FeatureServicer_to_server, rows, "friesian.v1.Feature", None if waits else _is_short),
    ]
    loops = 1 if waits else max(1, cores_here() // settings.workers)
    run_grpc("feature_recall" if vectors else "feature", settings, servicers, exporter, place, loops=loops)


def _is_short(request: bytes) -> bool:
    """Whether it asks for so few rows that copying them takes no time."""
    return len(request) <= _SHORT_BYTES


if __name__ == "__main__":
    launch(main)
