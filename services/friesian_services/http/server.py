"""Uvicorn in a thread, so that one process answers HTTP and gRPC and ends in one way."""

from __future__ import annotations

import threading
import time
from typing import Any

import uvicorn

from friesian_fast.errors import UnavailableError
from friesian_services.http.app import HttpApp
from friesian_services.http.protocol import Protocol
from friesian_services.sockets import bound_socket

_CONNECTIONS = 1000


class HttpServer:
    """Serves the application on a socket that is bound at once, so that a taken port is an error and nothing else.

    Parameters
    ----------
    host : str
    port : int
    app : HttpApp
    loops : int, default 1
        Event loops, each in its own thread, that share the socket's connections: as many as cores where the loops
        run the requests themselves.
    share_port : bool, default False
        Whether other workers listen on the port too.
    patience_s : float, default 30
        Seconds that a client may be silent, take for one request, or leave its answers unread.
    """

    def __init__(
        self,
        host: str,
        port: int,
        app: HttpApp,
        *,
        loops: int = 1,
        share_port: bool = False,
        patience_s: float = 30,
    ) -> None:
        self._app = app
        self._socket = bound_socket(host, port, share_port=share_port)
        self.port: int = self._socket.getsockname()[1]
        self._servers = [_Server(_config(app, patience_s)) for _ in range(loops)]
        self._threads = [
            threading.Thread(target=server.run, args=([self._socket.dup()],), name=f"http-{number}", daemon=True)
            for number, server in enumerate(self._servers)
        ]

    def start(self) -> None:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()
        for server in self._servers:
            if not server.up.wait(timeout=30):
                raise UnavailableError("the HTTP server did not start within 30 seconds")
        self._app.ready = True

    def stop(self, grace_s: float) -> None:
        """Report not ready, take no more connections, finish the requests that run."""
        self._app.ready = False
        self._socket.close()  # while one of its copies is open, the system takes connections; the loops close theirs
        for server in self._servers:
            server.config.timeout_graceful_shutdown = max(1, int(grace_s))
            server.should_exit = True
        until = time.monotonic() + grace_s + 5
        for thread in filter(threading.Thread.is_alive, self._threads):  # none, where it had not started yet
            thread.join(max(0.0, until - time.monotonic()))


def _config(app: HttpApp, patience_s: float = 30) -> Any:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=patience_s,
    )


class _Server(uvicorn.Server):  # type: ignore[misc]  # skipped by mypy
    """Says when it answers."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.up.set()
