"""A bare ASGI application: the original's paths and JSON."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any
from urllib.parse import parse_qs

import grpc

from friesian_fast import _core
from friesian_fast.errors import FriesianError, InvalidInputError, NotFoundError
from friesian_fast.recall import Filter
from friesian_fast.recommend import Recommendation, Recommender
from friesian_services import call, wire
from friesian_services.backends import Backends
from friesian_services.errors import Status, status_of
from friesian_services.http.body import BODY_BYTES, filter_of
from friesian_services.metrics import Exporter
from friesian_services.timers import Timers

GREETING = "Welcome to the recommender. Ask /recommender/recommend/{id}?k=10&canK=50\n"

_RECOMMEND = "/recommender/recommend/"
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
# Explanations, and thousands of candidates: they would hold up the loop's other requests.
_LONG = re.compile(rb"explain|%|[0-9]{4}")
# What clients send as a rule, read without the general parser.
_PLAIN = re.compile(rb"k=([0-9]{1,4})&canK=([0-9]{1,4})")
_UNEXPECTED = Status(grpc.StatusCode.INTERNAL, 500, "Failed")
_TOO_LONG = Status(grpc.StatusCode.INVALID_ARGUMENT, 413, "Invalid request")
_DETAILS = 1000  # characters: an error may quote the request
_JSON, _TEXT = b"application/json", b"text/plain; charset=utf-8"

_log = logging.getLogger(__name__)

Answer = tuple[int, bytes, bytes]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class HttpApp:
    """Answers GET requests, and POST where recommendations are asked for with a filter.

    Parameters
    ----------
    recommender : Recommender
    timers : Timers
    backends : Backends
    executor : Executor, optional
        Runs the requests where they wait for other services or for Redis, so that the event loop only reads and
        writes. Without one the loop's own thread runs them: where all the work is here, handing it to another
        thread and back costs more than it gains.
    compat_status : bool
        Whether failed recommendations have status 200, as in the original.
    exporter : Exporter, optional
    inline : bool
        Give the executor only what takes long.
    """

    def __init__(
        self,
        recommender: Recommender,
        timers: Timers,
        backends: Backends,
        executor: Executor | None = None,
        *,
        compat_status: bool = False,
        exporter: Exporter | None = None,
        inline: bool = False,
    ) -> None:
        self._recommender = recommender
        self._timers = timers
        self._backends = backends
        self._executor = executor
        self._inline = inline
        self._compat_status = compat_status
        self._exporter = exporter
        self.numbered = recommender.user_id_type == "int64"
        self.ready = False
        self._routes: Mapping[str, Callable[[], Answer]] = {
            "/recommender": lambda: (200, _TEXT, GREETING.encode()),
            "/recommender/metrics": lambda: (200, _JSON, timers.json().encode()),
            "/recommender/resetMetrics": self._reset,
            "/recommender/clientMetrics": self._client_metrics,
            "/healthz": lambda: (200, _TEXT, b"ok\n"),
            "/readyz": lambda: (200, _TEXT, b"ready\n") if self.ready else (503, _TEXT, b"not ready\n"),
        }

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Receive,
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        started = time.perf_counter()
        path, method, sent = scope["path"], scope["method"], dict(scope["headers"])
        offered = ("GET", "HEAD", "POST") if path.startswith(_RECOMMEND) else ("GET", "HEAD")
        if method not in offered:
            answer = _plain_error(405, f"{method} is not offered here; use {' or '.join(offered)}")
            headers, goes_on = {b"allow": ", ".join(offered).encode()}, _is_passed_over(sent)
        else:
            given = sent.get(b"x-request-id")
            call.begin(None, None if given is None else given.decode("latin-1"))
            headers = {b"x-request-id": call.request_id.get().encode("latin-1")}
            try:
                body = await _body(receive, sent) if method == "POST" else None
            except ConnectionError:
                return
            started = time.perf_counter()  # not what the client took to send it
            goes_on = _is_passed_over(sent) if method != "POST" else body is not None
            answer = await self._answer_read(method, path, scope["query_string"], body)
        if not goes_on:
            headers[b"connection"] = b"close"
        await _send(send, answer, headers, body=method != "HEAD")
        if self._exporter is not None:
            self._exporter.http_handled(_service(path), method, time.perf_counter() - started)

    async def _answer_read(self, method: str, path: str, query: bytes, body: bytes | None) -> Answer:
        if method == "POST" and body is None:
            return self._failed(_TOO_LONG, f"the body has more than {BODY_BYTES} bytes; send fewer ids")
        if self._executor is None or (body is None and self._is_short(query)):
            return self._answer(path, query, body)
        return await _in_thread(self._executor, self._answer, path, query, body)

    def answer_now(self, user: int | str, k: int, candidates: int | None) -> Answer | None:
        """The recommendations of at most 999 candidates, or None where the event loop is not to run any."""
        if self._executor is not None and not self._inline:
            return None
        started = time.perf_counter()
        call.begin(None, None)
        answer = self._or_failure(self._recommended, user, k, candidates)
        if self._exporter is not None:
            self._exporter.http_handled("recommend", "GET", time.perf_counter() - started)
        return answer

    def _is_short(self, query: bytes) -> bool:
        return self._inline and not _LONG.search(query)

    def _answer(self, path: str, query: bytes, body: bytes | None = None) -> Answer:
        if path.startswith(_RECOMMEND):
            return self._or_failure(self._recommend, path[len(_RECOMMEND) :], query, body)
        route = self._routes.get(path.rstrip("/") or "/")
        if route is None:
            return _plain_error(404, f"there is nothing at {path}; recommendations are at {_RECOMMEND}{{id}}")
        return route()

    def _recommend(self, user: str, query: bytes, body: bytes | None) -> Answer:
        user_id = self._user_id(user)
        k, candidates, explain = _sizes_of(query)
        filter = None if body is None else filter_of(body, self._recommender.item_id_type)
        return self._recommended(user_id, k, candidates, explain, filter)

    def _recommended(
        self,
        user_id: int | str,
        k: int | None,
        candidates: int | None,
        explain: bool = False,
        filter: Filter | None = None,
    ) -> Answer:
        answer = self._recommender.recommend(user_id, k=k, candidates=candidates, explain=explain, filter=filter)
        return 200, _JSON, _answered(answer)

    def _or_failure(self, answer: Callable[..., Answer], *arguments: Any) -> Answer:
        """The answer, or what is wrong with the request."""
        try:
            return answer(*arguments)
        except FriesianError as error:
            return self._failed(status_of(error), str(error))
        except Exception:
            _log.exception("call %s failed", call.request_id.get())
            return self._failed(_UNEXPECTED, f"an unexpected failure; the log has call {call.request_id.get()}")

    def _user_id(self, text: str) -> int | str:
        """Of the release's type."""
        if not text or len(text) > wire.ID_CHARACTERS:
            raise NotFoundError(f"id must have between 1 and {wire.ID_CHARACTERS} characters: {_RECOMMEND}{{id}}")
        if not self.numbered:
            return text
        if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
            raise NotFoundError(f"id '{text}' is not an integer of 64 bits, which the user ids of this release are")
        return int(text)

    def _failed(self, status: Status, text: str) -> Answer:
        text = text[:_DETAILS]
        body = {
            "ids": None,
            "probs": None,
            "success": False,
            "errorCode": status.code.name,
            "errorMsg": text,
            "title": status.title,
            "detail": text,
        }
        return (200 if self._compat_status else status.http), _JSON, json.dumps(body).encode()

    def _reset(self) -> Answer:
        self._timers.reset()
        return 200, _JSON, b'{"success": true}'

    def _client_metrics(self) -> Answer:
        try:
            return 200, _TEXT, self._backends.metrics().encode()
        except FriesianError as error:
            return self._failed(status_of(error), str(error))


async def _in_thread(executor: Executor, answer: Callable[..., Answer], *arguments: Any) -> Answer:
    run = contextvars.copy_context().run  # the call's id goes along
    return await asyncio.get_running_loop().run_in_executor(executor, run, answer, *arguments)


async def _body(receive: Receive, sent: Mapping[bytes, bytes]) -> bytes | None:
    """The request's body; None if it is too long, of which no more is read than shows it.

    Raises
    ------
    ConnectionError
        If the client has gone.
    """
    if _announced(sent) > BODY_BYTES:
        return None
    parts, length, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client has gone")
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > BODY_BYTES:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _announced(sent: Mapping[bytes, bytes]) -> int:
    """Bytes of the body by the request's head; 0 where it does not say."""
    return int(sent.get(b"content-length", b"").strip().lstrip(b"0") or b"0")


def _is_passed_over(sent: Mapping[bytes, bytes]) -> bool:
    """Whether the next request may come behind a body that nobody reads.

    It is known to be short, and the client does not wait for leave to send it: then it may never come.
    """
    length = _announced(sent)
    is_sent = length == 0 or b"expect" not in sent
    return is_sent and length <= BODY_BYTES and b"transfer-encoding" not in sent


def _sizes_of(query: bytes) -> tuple[int | None, int | None, bool]:
    """`k` and `canK`, None where not given, and `explain`."""
    plain = _PLAIN.fullmatch(query)
    if plain is not None:
        return int(plain[1]), int(plain[2]), False
    values = {name: texts[-1] for name, texts in parse_qs(query.decode("latin-1"), keep_blank_values=True).items()}
    numbers: list[int | None] = []
    for name in ("k", "canK"):
        text = values.get(name)
        if text is not None and not _INTEGER.fullmatch(text):
            raise InvalidInputError(f"{name} is '{text}'; it must be a whole number")
        numbers.append(None if text is None else int(text))
    explain = values.get("explain", "false")
    if explain not in ("true", "false"):
        raise InvalidInputError(f"explain is '{explain}'; it must be true or false")
    return numbers[0], numbers[1], explain == "true"


def _answered(answer: Recommendation) -> bytes:
    """JSON, of which the encoder is left what the core does not write: it takes as long as all the rest."""
    ids = json.dumps(answer.ids).encode() if isinstance(answer.ids, list) else _core.json_array(answer.ids)
    scores, rest = _core.json_array(answer.scores), b""
    if answer.fallback is not None:
        rest += b', "fallback": %b' % json.dumps(answer.fallback).encode()
    if answer.explanation is not None:
        rest += b', "explanation": %b' % json.dumps(answer.explanation.to_json()).encode()
    return b'{"ids": %b, "probs": %b, "success": true, "errorCode": null, "errorMsg": null%b}' % (ids, scores, rest)


def _plain_error(status: int, text: str) -> Answer:
    return (
        status,
        _JSON,
        json.dumps({"title": "Not found" if status == 404 else "Not offered", "detail": text}).encode(),
    )


def _service(path: str) -> str:
    """A label of bounded variety for the metrics."""
    part = path.strip("/").split("/")
    known = ("recommend", "metrics", "resetMetrics", "clientMetrics")
    return part[1] if len(part) > 1 and part[0] == "recommender" and part[1] in known else "other"


async def _send(
    send: Callable[[Mapping[str, Any]], Awaitable[None]], answer: Answer, headers: Mapping[bytes, bytes], *, body: bool
) -> None:
    status, kind, content = answer
    listed = [(b"content-type", kind), (b"content-length", b"%d" % len(content)), *headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": content if body else b""})
