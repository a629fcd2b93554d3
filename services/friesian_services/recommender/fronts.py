"""A recommender on gRPC and HTTP, whichever stages it has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from friesian_fast.recommend import Recommender
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import recommender_pb2_grpc
from friesian_services.backends import Backends
from friesian_services.config import AllConfig, RecommenderConfig
from friesian_services.http.app import HttpApp
from friesian_services.http.server import HttpServer
from friesian_services.interceptor import CallInterceptor
from friesian_services.metrics import Exporter
from friesian_services.place import Place
from friesian_services.process import Part, run
from friesian_services.recommender.servicer import RecommenderServicer, RecommendServicer
from friesian_services.recommender.short import is_short, is_short_of_original
from friesian_services.rpc.handlers import Servicer
from friesian_services.rpc.server import GrpcServer
from friesian_services.timers import Timers


def serve_fronts(
    name: str,
    settings: RecommenderConfig | AllConfig,
    recommender: Recommender,
    backends: Backends,
    timers: Timers,
    exporter: Exporter | None,
    place: Place,
    *,
    threads: int,
    loops: int = 0,
) -> None:
    """Answer until told to stop; each front runs as many requests at once as there are threads.

    Requests are run by each front's `loops` event loops where they wait for no network; those that do, or that take
    long, are handed to a pool of threads.
    """
    share_port = place.shared is not None
    grpc_server = GrpcServer(
        settings.host,
        settings.port,
        [
            Servicer(
                recommender_pb2_grpc.add_RecommenderServicer_to_server,
                RecommenderServicer(recommender, timers, backends),
                "recommender.Recommender",
                is_short_of_original if loops else None,
            ),
            Servicer(
                v1_grpc.add_RecommenderServicer_to_server,
                RecommendServicer(recommender, timers),
                "friesian.v1.Recommender",
                is_short if loops else None,
            ),
        ],
        CallInterceptor(exporter),
        threads=threads,
        loops=max(loops, 1),
        share_port=share_port,
    )
    parts: list[Part] = [grpc_server]
    addresses = {"gRPC": f"{settings.host}:{grpc_server.port}"}
    if settings.http_port >= 0:
        pool = ThreadPoolExecutor(threads, thread_name_prefix="http")
        app = HttpApp(
            recommender,
            timers,
            backends,
            pool,
            compat_status=settings.compat_status,
            exporter=exporter,
            inline=loops > 0,
        )
        http_server = HttpServer(settings.host, settings.http_port, app, loops=max(loops, 1), share_port=share_port)
        parts.append(http_server)
        addresses["HTTP"] = f"{settings.host}:{http_server.port}"
    run(name, parts, addresses, drain_s=settings.drain_seconds, place=place)
