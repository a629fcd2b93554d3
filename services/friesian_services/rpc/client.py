"""Calls that their callers' threads wait for: no other thread takes part."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from friesian_fast.errors import ConfigError
from friesian_services.http2.connection import Connection
from friesian_services.http2.fields import Fields, written
from friesian_services.http2.frames import ErrorCode, Http2Error
from friesian_services.rpc.messages import (
    CONTENT_TYPE,
    CallError,
    MessageReader,
    Metadata,
    framed,
    metadata_fields,
    status_in,
    timeout_text,
)

_ADDRESS = re.compile(r"(?:dns:///)?(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:/\[\]]+)):(?P<port>[0-9]{1,5})")
_CONNECT_S = 1.0
_RECEIVE_BYTES = 256 << 10
# After a connection could not be made, calls fail at once for so long, and for twice as long each time.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.1, 2.0
_LATE = "no answer in time"


class Channel:
    """The connections to one service: each has one call at a time, and is kept for the next.

    Parameters
    ----------
    url : str
        host:port.

    Raises
    ------
    ConfigError
        If it is none.
    """

    def __init__(self, url: str) -> None:
        found = _ADDRESS.fullmatch(url)
        if found is None:
            raise ConfigError(f"'{url}' is no address of a service; it must be host:port")
        self.url = url
        self._address = (found["v6"] or found["host"], int(found["port"]))
        self._idle: list[_Wire] = []
        self._closed = False
        self._lock = threading.Lock()
        self._pause_s, self._paused_until, self._reason = 0.0, 0.0, ""

    def unary_unary(
        self, path: str, request_serializer: Any, response_deserializer: Any, _registered_method: bool = False
    ) -> Method:
        """A method; called by the stubs that are generated from protos."""
        return Method(self, path, request_serializer, response_deserializer)

    def close(self) -> None:
        """End the connections that no call is using; the others end with their calls."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for wire in idle:
            wire.close()

    def take(self) -> _Wire | None:
        """A connection that is kept, if there is one."""
        with self._lock:
            return self._idle.pop() if self._idle else None

    def give_back(self, wire: _Wire) -> None:
        """Keep a connection whose call is over."""
        with self._lock:
            keeps = not self._closed and wire.is_usable
            if keeps:
                self._idle.append(wire)
        if not keeps:
            wire.close()

    def connect(self, until: float) -> _Wire:
        """A new connection.

        Raises
        ------
        CallError
            If none can be made, or none could a moment ago.
        """
        now = time.monotonic()
        if now < self._paused_until:
            raise CallError(grpc.StatusCode.UNAVAILABLE, self._reason)
        if now >= until:
            raise CallError(grpc.StatusCode.DEADLINE_EXCEEDED, _LATE)
        timeout_s = min(_CONNECT_S, until - now)
        try:
            wire = _Wire(self._address, timeout_s)
        except OSError as error:
            if isinstance(error, TimeoutError) and timeout_s < _CONNECT_S:  # the caller's haste; others may have time
                raise CallError(grpc.StatusCode.DEADLINE_EXCEEDED, _LATE) from error
            with self._lock:
                self._pause_s = min(_LAST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self._pause_s))
                self._paused_until = time.monotonic() + self._pause_s
                self._reason = f"cannot be connected to: {error.strerror or error}"
            raise CallError(grpc.StatusCode.UNAVAILABLE, self._reason) from error
        self._pause_s = 0.0
        return wire


class Method:
    """One method of a service.

    Parameters
    ----------
    channel : Channel
    path : str
    serializer, deserializer : callable
        Of the request and of the answer.
    """

    def __init__(
        self,
        channel: Channel,
        path: str,
        serializer: Callable[[Any], bytes],
        deserializer: Callable[[bytes], Any],
    ) -> None:
        self._channel = channel
        self._serializer, self._deserializer = serializer, deserializer
        names = (b":method", b":scheme", b":path", b":authority", b"te", b"content-type", b"user-agent")
        values = (b"POST", b"http", path.encode(), channel.url.encode(), b"trailers", CONTENT_TYPE, b"friesian")
        self._head = written(zip(names, values, strict=True))

    def __call__(self, request: Any, timeout: float, metadata: Metadata = ()) -> Any:
        """The answer.

        Parameters
        ----------
        request : message
        timeout : float
            Seconds.
        metadata : sequence of (name, value)

        Raises
        ------
        CallError
            If there is none.
        """
        return self.future(request, timeout, metadata).result()

    def future(self, request: Any, timeout: float, metadata: Metadata = ()) -> Pending:
        """The call, sent but not waited for."""
        timing = [(b"grpc-timeout", timeout_text(timeout))]
        block = self._head + written(timing + metadata_fields(metadata))
        content = framed(self._serializer(request))
        return Pending(self._channel, block, content, time.monotonic() + timeout, self._deserializer)


class Pending:
    """A call under way. One whose answer nobody takes costs its connection."""

    def __init__(
        self, channel: Channel, block: bytes, content: bytes, until: float, deserializer: Callable[[bytes], Any]
    ) -> None:
        self._channel, self._until, self._deserializer = channel, until, deserializer
        self._block, self._content = block, content
        self._wire = channel.take()
        try:
            if self._wire is not None:
                self._wire.ask(block, content, until)
        except _NotTakenError:  # it had ended meanwhile
            self._wire = None
        self._is_new = self._wire is None
        if self._wire is None:
            self._wire = self._on_new_wire()

    def result(self) -> Any:
        """The answer, waited for.

        Raises
        ------
        CallError
            If there is none.
        """
        assert self._wire is not None
        try:
            fields, message = self._wire.answer(self._until)
        except _NotTakenError as error:
            if self._is_new:
                raise CallError(grpc.StatusCode.UNAVAILABLE, str(error)) from error
            # A connection that was kept may end at any time. All that is asked here only reads: it is asked again.
            self._wire, self._is_new = self._on_new_wire(), True
            return self.result()
        wire, self._wire = self._wire, None
        self._channel.give_back(wire)
        code, details = status_in(fields)
        if code is not grpc.StatusCode.OK:
            raise CallError(code, details)
        if message is None:
            raise CallError(grpc.StatusCode.INTERNAL, "an answer has one message; this has none")
        try:
            return self._deserializer(message)
        except DecodeError as error:
            text = f"the {len(message)} bytes of the answer are not the message of this call"
            raise CallError(grpc.StatusCode.INTERNAL, text) from error

    def __del__(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _on_new_wire(self) -> _Wire:
        wire = self._channel.connect(self._until)
        try:
            wire.ask(self._block, self._content, self._until)
        except _NotTakenError as error:
            raise CallError(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        return wire


class _NotTakenError(Exception):
    """The service ended the connection, or the stream, before it looked at the call."""


class _Wire:
    """One connection, and the call that it has; whatever fails but the call itself closes it."""

    _end: Fields | None
    _reader: MessageReader | None
    _messages: list[bytes]

    def __init__(self, address: tuple[str, int], timeout_s: float) -> None:
        self._socket = socket.create_connection(address, timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = Connection(self, client=True)
        self._stream = 0
        self._is_left = False
        self._clear()

    @property
    def is_usable(self) -> bool:
        """Whether it can have another call."""
        return not self._is_left and self._connection.has_numbers and self._connection.open_streams == 0

    def ask(self, block: bytes, content: bytes, until: float) -> None:
        """Send a call.

        Raises
        ------
        _NotTakenError, CallError
        """
        self._clear()
        self._stream = self._connection.open_stream(block)
        self._connection.send(self._stream, content, b"")
        with self._closed_by_failures():
            self._put(until)

    def answer(self, until: float) -> tuple[Fields, bytes | None]:
        """What ended the answer, and its message if it has one.

        Raises
        ------
        _NotTakenError, CallError
        """
        with self._closed_by_failures():
            while self._end is None:
                self._limit(until)
                data = self._socket.recv(_RECEIVE_BYTES)
                if not data:
                    raise ConnectionError("it ended the connection")
                self._connection.receive(data)
                self._put(until)
            return self._end, self._messages[0] if self._messages else None

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def headers(self, stream: int, fields: Fields, ended: bool) -> None:
        """The head of the answer, or its end."""
        if ended:
            self._end = fields
        elif self._reader is None:
            self._reader = MessageReader(fields)

    def data(self, stream: int, data: bytes, ended: bool) -> None:
        """A piece of the answer."""
        if self._reader is not None:
            self._messages += map(self._reader.plain, self._reader.add(data))
            if len(self._messages) > 1:
                raise CallError(grpc.StatusCode.INTERNAL, "an answer has one message; this has more")
        if ended:
            self._end = {}

    def reset(self, stream: int, code: int) -> None:
        """The service has given the call up; nothing where it had answered already."""
        if self._end is None and code == ErrorCode.REFUSED_STREAM:
            raise _NotTakenError("it refused the call")
        if self._end is None:
            raise CallError(grpc.StatusCode.UNAVAILABLE, f"it gave the call up with code {code}")

    def leaving(self, last_stream: int) -> None:
        """The service takes no more calls here."""
        self._is_left = True
        if self._end is None and self._stream > last_stream:
            raise _NotTakenError("it is being stopped")

    def _clear(self) -> None:
        self._end, self._reader, self._messages = None, None, []

    def _put(self, until: float) -> None:
        data = self._connection.outgoing()
        if data:
            self._limit(until)
            self._socket.sendall(data)

    def _limit(self, until: float) -> None:
        """Let the socket wait no longer than that."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    @contextlib.contextmanager
    def _closed_by_failures(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise CallError(grpc.StatusCode.DEADLINE_EXCEEDED, _LATE) from error
            if isinstance(error, Http2Error):
                raise CallError(grpc.StatusCode.UNAVAILABLE, f"it does not speak gRPC: {error}") from error
            if isinstance(error, OSError):
                text = f"the connection broke: {error.strerror or error}"
                if self._reader is None:
                    raise _NotTakenError(text) from error
                raise CallError(grpc.StatusCode.UNAVAILABLE, text) from error
            raise
