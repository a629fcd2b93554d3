"""Uvicorn in a thread, so that one process answers HTTP and gRPC and ends in one way."""

from __future__ import annotations

import threading
from typing import Any

import uvicorn

from friesian_fast.errors import UnavailableError
from friesian_services.http.app import HttpApp
from friesian_services.server import bound_socket

_CONNECTIONS = 1000


class HttpServer:
    """Serves the application on a socket that is bound at once, so that a taken port is an error and nothing else."""

    def __init__(self, host: str, port: int, app: HttpApp) -> None:
        self._app = app
        self._socket = bound_socket(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=30,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        if not self._server.up.wait(timeout=30):
            raise UnavailableError("the HTTP server did not start within 30 seconds")
        self._app.ready = True

    def stop(self, grace_s: float) -> None:
        """Report not ready, finish the requests that run."""
        self._app.ready = False
        self._server.config.timeout_graceful_shutdown = max(1, int(grace_s))
        self._server.should_exit = True
        self._thread.join(grace_s + 5)
        self._socket.close()


class _Server(uvicorn.Server):  # type: ignore[misc]  # skipped by mypy
    """Says when it answers."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.up.set()
