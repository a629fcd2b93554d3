"""Uvicorn's HTTP/1.1 with a bound on the head, one write for a response, and a short way for what is asked most."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from friesian_fast import _core
from friesian_services import call

_HEAD_BYTES = 64 << 10
_LINGER_S = 0.5

_PLAIN_BYTES = 2048


class Corked:
    """A transport that gathers what is written: uvicorn writes a response's head and its body one after the other.

    Closed amid a request, it ends its own side and takes what still comes for a moment: a connection that is closed
    with something unread is reset, and the client may lose the answer.
    """

    __slots__ = ("_closed", "_is_amid", "_parts", "_transport")

    def __init__(self, transport: Any, is_amid: Callable[[], bool]) -> None:
        self._transport = transport
        self._is_amid = is_amid
        self._parts: list[bytes] = []
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep it, unless it is a word between that the client waits for."""
        self._parts.append(data)
        if data.startswith(b"HTTP/1.1 100 "):
            self.flush()

    def send(self, data: bytes) -> None:
        """Write at once, where nothing was kept and the connection is known to be open."""
        self._transport.write(data)

    def flush(self) -> None:
        """Send what was kept, in one call of the system; nobody reads it where the connection is gone."""
        parts, self._parts = self._parts, []
        if parts and not self.is_closing():
            self._transport.write(b"".join(parts))

    def is_closing(self) -> bool:
        """Whether nothing more is answered here."""
        return self._closed or self._transport.is_closing()

    def close(self) -> None:
        """Send, then close."""
        if self.is_closing():
            return
        self.flush()
        self._closed = True
        if self._is_amid():
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_S, self._transport.close)
        else:
            self._transport.close()


class _Flow(FlowControl):  # type: ignore[misc]  # it has no types
    """Reads on only where no request waits for its turn: uvicorn itself queues whatever a client sends ahead."""

    def __init__(self, transport: Any, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Protocol(HttpToolsProtocol):  # type: ignore[misc]  # it has no types
    """One connection.

    A request whose line and headers never end is refused: uvicorn itself would go on collecting them. So is one that
    is not there in whole within the keep-alive time, and a client that asks for nothing, or does not read its answers,
    loses the connection after that time: uvicorn itself would hold it forever. A plain request
    for recommendations that finds the connection idle is answered at once, without the parser, a scope, a task and a
    cycle: they take more time than the rest of the HTTP front, and twice so after each run of a model, which leaves
    little of them in the caches. What offers to go on in another protocol, as Java's client does unless told otherwise,
    is an ordinary request: uvicorn itself would take its body for the next one.
    """

    parser: Any
    _in_head, _head, _between, _ended, _last = True, 0, True, False, False
    _incomplete: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _silent_since = 0.0
    _headers: list[tuple[bytes, bytes]] | None = None
    _lines = b""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Corked(transport, lambda: not self._between))
        self.flow = _Flow(self.transport, self.pipeline)
        self._incomplete = self.loop.call_later(self.timeout_keep_alive, self._request_is_late)

    def shutdown(self) -> None:
        """End the connection with the answers to what is asked now, or may be on its way.

        uvicorn itself would close it at once where nothing is asked, and reset a request that arrives just then.
        """
        self._last = True
        if self.cycle is not None:
            self.cycle.keep_alive = False
        self.loop.call_later(_LINGER_S, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._between and not self._is_busy():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_request_clock()
        self._stop_reading_clock()
        self._unset_keepalive_if_required()

    def eof_received(self) -> bool:
        """Stay open until all is answered that was asked in full: a client may end its side once it has asked."""
        self._ended = True
        return self._between and self._is_busy()

    def on_response_complete(self) -> None:
        self.transport.flush()
        super().on_response_complete()
        self.flow.resume_reading()  # what waited may just have begun
        if self._ended and (not self._is_busy() or self._lacks_body()):
            self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head, self._between = True, False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # nobody reads a trailer, and nothing bounds how many there are
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():  # comes again without the offer
            return
        self._in_head, self._head = False, 0
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._between = True
        self._stop_request_clock()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)  # closing would wait, too

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_reading_clock()

    def data_received(self, data: bytes) -> None:
        if len(data) <= _PLAIN_BYTES and self._is_idle() and self._answered(data):
            return
        if self.transport.is_closing():
            return
        while self._in_head and len(data) > _HEAD_BYTES - self._head:  # a body may follow in the same piece
            room = _HEAD_BYTES - self._head
            if room == 0:
                self.send_400_response("The request line and headers are too long.")
                return
            self._head += room
            self._parse(data[:room])
            data = data[room:]
            if self.transport.is_closing():
                return
        if self._in_head:
            self._head += len(data)
        self._parse(data)
        # Runs from the first byte of a request on: what trickles in gains no time.
        if self._incomplete is None and not (self._between and self._is_busy()) and not self.transport.is_closing():
            self._incomplete = self.loop.call_later(self.timeout_keep_alive, self._request_is_late)

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        rest: bytes | memoryview = data
        try:
            while rest:
                rest = self._after_offer(rest)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _after_offer(self, data: bytes | memoryview) -> bytes | memoryview:
        """Parse up to where the head ends that offers another protocol; what follows it, which may be its body.

        The parser ends there and takes what follows for no part of the request, so that a new one is given the same
        head without the offer.
        """
        try:
            self.parser.feed_data(data)
            return b""
        except httptools.HttpParserUpgrade as offer:
            if self.parser.get_method() == b"CONNECT":  # what follows is of another protocol, whatever is answered
                raise httptools.HttpParserError("there is no tunnel here") from offer
            (end,) = offer.args
        start = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = _parser(self)
        self.parser.feed_data(b"".join([start, *lines, b"\r\n"]))
        return memoryview(data)[end:]

    def _stop_request_clock(self) -> None:
        if self._incomplete is not None:
            self._incomplete.cancel()
            self._incomplete = None

    def _stop_reading_clock(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _request_is_late(self) -> None:
        """A request is not complete in time."""
        if self._is_busy() and not self._lacks_body():  # one before it is: its answer ends the connection
            self._ended = True
            return
        unanswered = self._in_head or (self._is_busy() and not self.cycle.response_started)
        if not self._between and unanswered:  # else nothing was begun, or what lacks its end is answered already
            text = b"The request was not complete in time."
            head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[408] + head % len(text) + text)
        self.transport.close()

    def _is_idle(self) -> bool:
        """Whether a request may begin here and nothing before it is still to be answered."""
        return (
            self._between
            and not self._last  # an answer that ends the connection says so
            and not self._is_busy()
            and not self.flow.write_paused
            and len(self.connections) < self.limit_concurrency
            and not self.transport.is_closing()
        )

    def _is_busy(self) -> bool:
        """Whether a request is still to be answered."""
        return self.cycle is not None and (not self.cycle.response_complete or bool(self.pipeline))

    def _lacks_body(self) -> bool:
        """Whether the only request that is still to be answered is not there in whole."""
        return not self._between and not self._in_head and not self.pipeline

    def _answered(self, data: bytes) -> bool:
        app = self.config.app
        plain = _core.plain_request(data, app.numbered)  # whatever is not that, in one piece, goes to the parser
        if plain is None:
            return False
        answer = app.answer_now(*plain)
        if answer is None:
            return False
        status, kind, body = answer
        self.transport.send(
            b"%b%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n\r\n%b"
            % (STATUS_LINE[status], self._default_lines(), kind, len(body), call.request_id.get().encode(), body)
        )
        self.server_state.total_requests += 1
        self._stop_request_clock()
        self._silent_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_handler()
        return True

    def _default_lines(self) -> bytes:
        """The server's own headers; each second has a new list of them, with its date."""
        headers = self.server_state.default_headers
        if headers is not self._headers:
            self._headers, self._lines = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._lines

    def timeout_keep_alive_handler(self) -> None:
        """End the connection, unless something was asked since the clock was set."""
        # To look again costs less than a new clock for each answer.
        left = self._silent_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()


def _parser(protocol: Protocol) -> Any:
    """As uvicorn makes it."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
