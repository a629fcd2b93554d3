"""One gRPC connection on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc

from friesian_services.http2.connection import Connection
from friesian_services.http2.fields import Fields, written
from friesian_services.http2.frames import ErrorCode, Http2Error
from friesian_services.rpc.calls import FAILED, Call, answer_of, replies_to
from friesian_services.rpc.messages import (
    HEADERS,
    MESSAGE_BYTES,
    CallError,
    Message,
    framed,
    is_grpc,
    refusal,
    trailers,
)
from friesian_services.rpc.unread import Unread
from friesian_services.rpc.workplace import Workplace

# Of one connection: unanswered requests, and messages of a conversation that wait.
_HELD_BYTES = 2 * MESSAGE_BYTES
_UNREAD_QUESTIONS = 1000
_BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls wait for a thread")
_UNREAD = (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many answers are not yet read")

_log = logging.getLogger(__name__)


class GrpcProtocol(asyncio.Protocol):
    """Reads calls, has them answered, writes the answers.

    What one piece of the network's data asks is answered in one write. From a client that does not read its answers
    nothing more is read, and after a time it is let go; so are requests that are not complete by then.
    """

    def __init__(self, place: Workplace, loop: asyncio.AbstractEventLoop) -> None:
        self._place = place
        self._loop = loop
        self._connection = Connection(self)
        self._calls: dict[int, Call] = {}
        self._incomplete: set[int] = set()
        self._ready: deque[tuple[int, Call, Message]] = deque()
        self._goes_on = False
        self._held = 0
        self._late: asyncio.TimerHandle | None = None
        self._unread = Unread(self._connection, place, loop)
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._unread.begin(transport)
        if not self._place.admit(self):
            transport.abort()
            return
        self._late = self._loop.call_later(self._place.patience_s, self._is_late)
        self._write()

    def data_received(self, data: bytes) -> None:
        try:
            self._connection.receive(data)
        except Http2Error as error:
            _log.info("a gRPC connection is ended: %s", error)
            self._write()
            self.close()
            return
        if self._ready:
            self._answer_ready()
        if self._incomplete and self._late is None:
            self._late = self._loop.call_later(self._place.patience_s, self._is_late)
        self._write()

    def pause_writing(self) -> None:
        self._transport.pause_reading()
        self._unread.pause()

    def resume_writing(self) -> None:
        self._unread.resume()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._place.connections.discard(self)
        self._unread.end()
        if self._late is not None:
            self._late.cancel()
        for stream in list(self._calls):
            self._forget(stream)

    def headers(self, stream: int, fields: Fields, ended: bool) -> None:
        """A call begins."""
        if not is_grpc(fields) or fields.get(b":method") != b"POST":
            self._connection.end(stream, written([(b":status", b"415")]))
            return
        path = fields.get(b":path", b"")
        found = self._place.handlers.find(path)
        try:
            if found is None:
                name = path[:200].decode("ascii", "replace")
                raise CallError(grpc.StatusCode.UNIMPLEMENTED, f"there is no method {name} here")
            call = Call(found, fields, self._loop.time())
        except CallError as error:
            self._connection.end(stream, refusal(error.code(), error.details()))
            return
        self._calls[stream] = call
        if not found.handler.request_streaming:
            self._incomplete.add(stream)
        if ended:
            self.data(stream, b"", True)

    def data(self, stream: int, data: bytes, ended: bool) -> None:
        """A call's request, or a piece of it."""
        call = self._calls.get(stream)
        if call is None:
            return
        try:
            came = call.add(data)
            self._hold(call)
            if call.found.handler.request_streaming:
                self._questions(stream, call, came=came, ended=ended)
            elif ended or len(call.messages) > 1:
                self._ready.append((stream, call, call.reader.only(call.messages)))
                self._incomplete.discard(stream)
        except CallError as error:
            self._finish(stream, error.code(), error.details())

    def _questions(self, stream: int, call: Call, *, came: bool, ended: bool) -> None:
        """What comes in a conversation."""
        if len(call.messages) > _UNREAD_QUESTIONS:
            raise CallError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"over {_UNREAD_QUESTIONS} messages are not yet read")
        call.has_ended = ended
        if ended or not call.reader.size:
            self._incomplete.discard(stream)
        elif came or stream not in self._incomplete:  # the first piece of another message
            call.begun = self._loop.time()
            self._incomplete.add(stream)
        self._next_reply(stream, call)

    def _hold(self, call: Call) -> None:
        """Count what is kept of a call, as long as it is."""
        size = call.reader.size + call.message_bytes
        more, call.size = size - call.size, size
        self._held += more
        has_room = self._place.hold(more) and self._held <= _HELD_BYTES
        if more > 0 and not has_room:
            raise CallError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many bytes of requests are not yet answered")

    def reset(self, stream: int, code: int) -> None:
        """The caller has given a call up."""
        self._forget(stream)

    def leaving(self, last_stream: int) -> None:
        """A client opens no more streams; those that are open go on."""

    def leave(self) -> None:
        """Take no more calls; tell those who only watch that it is over."""
        self._connection.leave()
        for stream, call in list(self._calls.items()):
            if call.found.handler.response_streaming:
                self._finish(stream, grpc.StatusCode.UNAVAILABLE, "the server is being stopped")
        self._write()

    @property
    def is_idle(self) -> bool:
        """Whether no call is unanswered, or not wholly sent."""
        return self._connection.open_streams == 0

    def close(self) -> None:
        """End the connection once all that was written is sent."""
        self._transport.close()
        self._unread.start_clock()

    def abort(self) -> None:
        """End it at once."""
        self._transport.abort()

    def _answer_ready(self) -> None:
        """Answer one call, and those before it that other threads take.

        The loop comes back for the rest: between two answers it writes the first, and other connections have a turn.
        """
        while self._ready:
            stream, call, message = self._ready.popleft()
            if self._calls.get(stream) is not call:  # reset by what came behind it
                continue
            if call.found.handler.response_streaming:
                self._watch(stream, call, message)
            elif self._place.answers_here(call.found, message, alone=not self._ready):
                self._end(stream, *answer_of(call, message))
                break
            elif not self._place.hand_over(self._answer_aside, stream, call, message):
                self._finish(stream, *_BUSY)

        if self._ready and not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        self._answer_ready()
        self._write()

    def _answer_aside(self, stream: int, call: Call, message: Message) -> None:
        """In another thread."""
        answer = answer_of(call, message)
        self._soon(stream, call, self._end, *answer)

    def _watch(self, stream: int, call: Call, message: Message) -> None:
        """A call that is told something whenever it happens, and holds no thread: health's watchers."""
        handler = call.found.handler

        def send(reply: Any) -> None:  # by whichever thread
            if reply is not None:
                self._soon(stream, call, self._send, framed(handler.response_serializer(reply)))

        try:
            asked = call.reader.plain(message)
            call.drop_first()
            self._hold(call)
            handler.unary_stream(handler.request_deserializer(asked), call.context, send)
        except CallError as error:
            self._finish(stream, error.code(), error.details())
        except Exception:
            _log.exception("a stream failed")
            self._finish(stream, grpc.StatusCode.INTERNAL, FAILED)

    def _next_reply(self, stream: int, call: Call) -> None:
        """Have a thread answer the next message of a conversation. One that is silent holds none."""
        if call.is_answering:
            return
        if call.messages:
            call.is_answering = True
            if not self._place.streams.hand_over(self._reply_aside, stream, call, call.messages[0]):
                self._finish(stream, *_BUSY)
        elif call.has_ended:
            self._finish(stream, grpc.StatusCode.OK, "")

    def _reply_aside(self, stream: int, call: Call, message: Message) -> None:
        """In another thread."""
        self._soon(stream, call, self._replied, call, replies_to(call, message))

    def _replied(self, stream: int, call: Call, replies: bytes | CallError) -> None:
        if isinstance(replies, CallError):
            self._finish(stream, replies.code(), replies.details())
            return
        call.is_answering = False
        call.drop_first()
        self._hold(call)
        self._send(stream, replies)
        if stream in self._calls:  # its caller reads
            self._next_reply(stream, call)

    def _soon(self, stream: int, call: Call, does: Callable[..., None], *arguments: Any) -> None:
        """Have the event loop do something about a call; nothing where it is over already."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._now, stream, call, does, arguments)

    def _now(self, stream: int, call: Call, does: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self._calls.get(stream) is call:
            does(stream, *arguments)
            self._write()

    def _send(self, stream: int, message: bytes) -> None:
        """One message of an answer that has several."""
        if not self._unread.has_room(message):  # a status would have to wait too
            self._connection.reset(stream, ErrorCode.ENHANCE_YOUR_CALM)
            self._forget(stream)
            return
        self._send_headers(stream)
        self._connection.send(stream, message)

    def _end(self, stream: int, message: bytes | None, last: bytes) -> None:
        """The end of an answer: its message, if it has one, and its status."""
        if message is None:
            self._connection.end(stream, last)
        elif self._unread.has_room(message):
            self._send_headers(stream)
            self._connection.send(stream, message, last)
        else:
            self._connection.end(stream, refusal(*_UNREAD))
        self._forget(stream)

    def _finish(self, stream: int, code: grpc.StatusCode, details: str) -> None:
        """The end of an answer that has no more messages."""
        block = trailers if self._calls[stream].has_headers else refusal
        self._end(stream, None, block(code, details))

    def _send_headers(self, stream: int) -> None:
        call = self._calls[stream]
        if not call.has_headers:
            call.has_headers = True
            self._connection.send_headers(stream, HEADERS)

    def _forget(self, stream: int) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            self._held -= call.size
            self._place.hold(-call.size)
            self._incomplete.discard(stream)
            call.context.end()

    def _is_late(self) -> None:
        """Requests that are not complete in time are refused; a client that asks nothing yet may wait."""
        self._late = None
        if not self._connection.is_settled:
            self._transport.abort()
            return
        patience = self._place.patience_s
        for stream in list(self._incomplete):
            if self._calls[stream].begun <= self._loop.time() - patience:
                text = f"the request was not complete within {patience:g} seconds"
                self._finish(stream, grpc.StatusCode.DEADLINE_EXCEEDED, text)
        if self._incomplete:
            self._late = self._loop.call_later(patience, self._is_late)
        self._write()

    def _write(self) -> None:
        data = self._connection.outgoing()
        if self._transport.is_closing():
            return
        if data:
            self._transport.write(data)
        self._unread.written()
