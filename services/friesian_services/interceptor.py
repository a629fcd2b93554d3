"""The one interceptor: errors, deadlines, request ids and metrics of every RPC."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from friesian_fast.errors import FriesianError, InvalidInputError
from friesian_services import call
from friesian_services.errors import status_of
from friesian_services.metrics import Exporter

_log = logging.getLogger(__name__)

# Longer texts (one may quote a request) would be more than a client takes as headers, which hides the status too.
_DETAILS = 1000
_STREAMS = 4
# An error may quote the request, whose line breaks are none of the log's, and halves of surrogate pairs no text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class CallInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Wraps every unary call; what the servicers raise becomes a status here and nowhere else."""

    def __init__(self, exporter: Exporter | None = None) -> None:
        self._exporter = exporter
        self._streams = ThreadPoolExecutor(_STREAMS, thread_name_prefix="grpc-stream")
        self._wrapped: dict[str, Any] = {}

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Hand back the handler, wrapped once for all its calls."""
        found = self._wrapped.get(details.method)
        if found is not None:
            return found
        handler = continuation(details)
        if handler is not None and handler.stream_stream is not None:
            wrapped = self._aside(handler)
        elif handler is None or handler.unary_unary is None:  # unknown, or the watchers of health, who hold no thread
            return handler
        else:
            wrapped = self._unary(handler, details.method)
        self._wrapped[details.method] = wrapped
        return wrapped

    def _unary(self, handler: Any, path: str) -> Any:
        _, service, method = path.split("/")

        def answer(request: bytes, context: Any) -> Any:
            metadata = context.invocation_metadata()
            caller_id = next((value for key, value in metadata if key == call.REQUEST_ID), None)
            call.begin(context.time_remaining(), caller_id)
            started = time.perf_counter()
            if self._exporter is not None:
                self._exporter.grpc_started(service, method)
            code = grpc.StatusCode.OK
            try:
                return _answer(handler, request, context)
            except BaseException:
                code = context.code() or grpc.StatusCode.UNKNOWN
                raise
            finally:
                if self._exporter is not None:
                    self._exporter.grpc_handled(service, method, code.name, time.perf_counter() - started)

        # The bytes come here: gRPC itself answers those that are no message with INTERNAL.
        return grpc.unary_unary_rpc_method_handler(answer, None, handler.response_serializer)

    def _aside(self, handler: Any) -> Any:
        """Reflection holds a thread as long as its caller likes: it gets threads that nobody else waits for."""

        def answer(requests: Any, context: Any) -> Iterator[Any]:
            yield from handler.stream_stream(requests, context)

        answer.experimental_thread_pool = self._streams  # type: ignore[attr-defined]  # read by grpcio's server
        return grpc.stream_stream_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)


def _answer(handler: Any, request: bytes, context: Any) -> Any:
    try:
        call.require_waiting(context)
        return handler.unary_unary(_message(handler.request_deserializer, request), context)
    except FriesianError as error:
        status, text = status_of(error), _CONTROL.sub("?", str(error)[:_DETAILS])
        if status.http >= 500:
            _log.warning("call %s: %s", call.request_id.get(), text)
        context.abort(status.code, text)
    except Exception:
        _log.exception("call %s failed", call.request_id.get())
        context.abort(
            grpc.StatusCode.INTERNAL, f"an unexpected failure; the server's log has call {call.request_id.get()}"
        )


def _message(deserializer: Callable[[bytes], Any], request: bytes) -> Any:
    try:
        return deserializer(request)
    except DecodeError as error:
        raise InvalidInputError(f"the {len(request)} bytes of the request are not the message of this call") from error
