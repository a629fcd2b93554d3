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
    launch,
    observe,
    prepare,
)
from friesian_services.server import Servicer, run_grpc
from friesian_services.wiring import open_stores, served_row_sets


def main(
    config: ConfigOption = None,
    port: PortOption = None,
    release_path: ReleaseOption = None,
    ready_fd: ReadyOption = None,
) -> None:
    """User and item rows, from the release or from Redis.

    Example: friesian serve feature -c config_feature.yaml
    """
    serve("feature", prepare(FeatureConfig, config, service_port=port, release_path=release_path), False, ready_fd)


def main_vectors(
    config: ConfigOption = None,
    port: PortOption = None,
    release_path: ReleaseOption = None,
    ready_fd: ReadyOption = None,
) -> None:
    """User vectors, from the release or from Redis.

    Example: friesian serve feature_recall -c config_feature_vec.yaml
    """
    settings = prepare(FeatureRecallConfig, config, service_port=port, release_path=release_path)
    serve("feature_recall", settings, True, ready_fd)


def serve(name: str, settings: FeatureConfig, vectors: bool, ready_fd: int | None) -> None:
    """Answer until told to stop."""
    release = open_release(settings.release_path)
    stores = open_stores(release, served_row_sets(settings, vectors), settings)
    timers, exporter = observe(settings)
    servicers = [
        Servicer(feature_pb2_grpc.add_FeatureServicer_to_server, FeatureServicer(timers), "feature.Feature"),
        Servicer(
            v1_grpc.add_FeatureServicer_to_server, RowsServicer(stores, release.id, timers), "friesian.v1.Feature"
        ),
    ]
    run_grpc(name, settings, servicers, exporter, ready_fd=ready_fd)


if __name__ == "__main__":
    launch(main)
