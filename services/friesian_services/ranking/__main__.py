"""Flags, settings, server: the ranking service."""

from __future__ import annotations

from friesian_fast.release.open import open_release
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import ranking_pb2_grpc
from friesian_services.config import RankingConfig
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
from friesian_services.ranking.servicer import RankingServicer, ScoresServicer
from friesian_services.rpc.handlers import Servicer
from friesian_services.rpc.server import run_grpc
from friesian_services.wiring import check_model_path, open_ranker

_SHORT_BYTES = 128 << 10  # some 1,000 rows


def main(
    config: ConfigOption = None,
    port: PortOption = None,
    release_path: ReleaseOption = None,
    workers: WorkersOption = None,
    ready_fd: ReadyOption = None,
    worker: WorkerOption = None,
) -> None:
    """Scores of the release's ranker.

    Example: friesian serve ranking -c config_ranking.yaml
    """
    place = Place.of(ready_fd, worker)
    settings = prepare(RankingConfig, place, config, service_port=port, release_path=release_path, workers=workers)
    start("ranking", settings, place, serve)


def serve(settings: RankingConfig, place: Place) -> None:
    """Answer until told to stop."""
    release = open_release(settings.release_path)
    check_model_path(release, settings.model_path)
    timers, exporter = observe(settings, place)
    scores = ScoresServicer(open_ranker(release), release.id, timers)
    servicers = [
        Servicer(ranking_pb2_grpc.add_RankingServicer_to_server, RankingServicer(timers), "ranking.Ranking"),
        Servicer(v1_grpc.add_RankingServicer_to_server, scores, "friesian.v1.Ranking", _is_short),
    ]
    # The loops score as well: with the threads beside them they are as many as there may be calls at once.
    loops = min(settings.calls_at_once, max(1, cores_here() // settings.workers))
    threads = settings.calls_at_once - loops
    run_grpc("ranking", settings, servicers, exporter, place, threads=threads, loops=loops)


def _is_short(request: bytes) -> bool:
    """Whether it asks for so few scores that other calls may wait for them."""
    return len(request) <= _SHORT_BYTES


if __name__ == "__main__":
    launch(main)
