"""The one interceptor: errors, deadlines, request ids and metrics of every RPC."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
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
# An error may quote the request, whose line breaks are none of the log's, and halves of surrogate pairs no text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class CallInterceptor:
    """Wraps every unary call; what the servicers raise becomes a status here and nowhere else."""

    def __init__(self, exporter: Exporter | None = None) -> None:
        self._exporter = exporter

    def wrapped(self, handler: Any, path: str) -> Any:
        """The handler of a path; the streams of health and reflection as they are."""
        if handler.unary_unary is None:
            return handler
        _, service, method = path.split("/")

        def answer(request: bytes, context: Any) -> Any:
            call.begin(context.time_remaining(), context.sent(call.REQUEST_ID))
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
