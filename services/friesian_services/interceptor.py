"""The one interceptor: errors, deadlines, request ids and metrics of every RPC."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import grpc

from friesian_fast.errors import FriesianError
from friesian_services import call
from friesian_services.errors import status_of
from friesian_services.metrics import Exporter

_log = logging.getLogger(__name__)


class CallInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Wraps every unary call; what the servicers raise becomes a status here and nowhere else."""

    def __init__(self, exporter: Exporter | None = None) -> None:
        self._exporter = exporter

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Hand back the handler, wrapped."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:  # unknown, or the streams of health and reflection
            return handler
        _, service, method = details.method.split("/")
        caller_id = next((value for key, value in details.invocation_metadata if key == call.REQUEST_ID), None)

        def answer(request: Any, context: Any) -> Any:
            call.begin(context.time_remaining(), caller_id)
            started = time.perf_counter()
            if self._exporter is not None:
                self._exporter.grpc_started(service, method)
            code = grpc.StatusCode.OK
            try:
                return _answer(handler.unary_unary, request, context)
            except BaseException:
                code = context.code() or grpc.StatusCode.UNKNOWN
                raise
            finally:
                if self._exporter is not None:
                    self._exporter.grpc_handled(service, method, code.name, time.perf_counter() - started)

        return grpc.unary_unary_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)


def _answer(behaviour: Callable[[Any, Any], Any], request: Any, context: Any) -> Any:
    try:
        call.remaining()
        return behaviour(request, context)
    except FriesianError as error:
        status = status_of(error)
        if status.http >= 500:
            _log.warning("call %s: %s", call.request_id.get(), error)
        context.abort(status.code, str(error))
    except Exception:
        _log.exception("call %s failed", call.request_id.get())
        context.abort(
            grpc.StatusCode.INTERNAL, f"an unexpected failure; the server's log has call {call.request_id.get()}"
        )
