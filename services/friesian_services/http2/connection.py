"""The state of a connection and of its streams: bytes in, events and bytes out (RFC 9113)."""

from __future__ import annotations

from collections.abc import Callable

from friesian_services.http2.fields import BLOCK_BYTES, FieldReader, Fields, OpenBlock
from friesian_services.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    GOAWAY,
    HAS_PRIORITY,
    HEAD_BYTES,
    HEADERS,
    LARGEST,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    ErrorCode,
    Http2Error,
    Setting,
    content,
    frame,
    goaway,
    number_of,
    settings,
)
from friesian_services.http2.listener import Listener
from friesian_services.http2.sending import Sender, SendingStream

STREAMS = 1000
# What a peer may send ahead of our word that it was taken, for one stream and for all.
STREAM_WINDOW, CONNECTION_WINDOW = 1 << 20, 4 << 20
# A client that opens streams only to have them reset makes work that nobody waits for; each answered one pays for one
# reset.
_RESETS = 500
# Settings that give every stream more room have all that wait for it looked at: answered streams pay for that too.
_WIDENINGS = 100


class _Stream(SendingStream):
    """One stream: its ends, and what has come."""

    __slots__ = ("ended_here", "ended_there", "received")

    def __init__(self, *, ended_there: bool = False) -> None:
        super().__init__()
        self.received = 0
        self.ended_here, self.ended_there = False, ended_there


class Connection:
    """One side of a connection.

    Parameters
    ----------
    listener : Listener
    client : bool, default False
        Whether this side opens the streams.
    """

    def __init__(self, listener: Listener, *, client: bool = False) -> None:
        self._listener = listener
        self._client = client
        self._reader = FieldReader()
        self._rest = b""
        self._preface = b"" if client else PREFACE
        self._streams: dict[int, _Stream] = {}
        self._last_stream = 0  # of those that clients open
        self._open_block: OpenBlock | None = None
        self._settled = self._leaving = False
        self._received = self._resets = self._widenings = 0
        values = {Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW, Setting.MAX_HEADER_LIST_SIZE: BLOCK_BYTES}
        values |= {Setting.ENABLE_PUSH: 0} if client else {Setting.MAX_CONCURRENT_STREAMS: STREAMS}
        more = CONNECTION_WINDOW - WINDOW_BYTES
        first = settings(values) + frame(WINDOW_UPDATE, 0, 0, more.to_bytes(4, "big"))
        self._sender = Sender(PREFACE + first if client else first, self._ended_here)
        self._kinds: dict[int, Callable[[int, int, bytes], None]] = {
            DATA: self._data,
            HEADERS: self._headers,
            PRIORITY: self._priority,
            RST_STREAM: self._reset,
            SETTINGS: self._settings,
            PUSH_PROMISE: self._push_promise,
            PING: self._ping,
            GOAWAY: self._goaway,
            WINDOW_UPDATE: self._window_update,
            CONTINUATION: self._continuation,
        }

    @property
    def open_streams(self) -> int:
        """Streams that are not yet ended on both sides."""
        return len(self._streams)

    @property
    def unsent(self) -> int:
        """Bytes of content that wait for the peer's leave to be sent."""
        return self._sender.unsent

    @property
    def sent(self) -> int:
        """Bytes of content that were sent so far."""
        return self._sender.sent

    @property
    def has_numbers(self) -> bool:
        """Whether a client can open another stream."""
        return self._last_stream < LARGEST

    @property
    def is_settled(self) -> bool:
        """Whether the peer has begun, with its preface and its settings."""
        return self._settled

    def receive(self, data: bytes) -> None:
        """Take what came from the peer, and tell the listener.

        Raises
        ------
        Http2Error
            If it is not HTTP/2; `outgoing` then says why, and the connection is to be closed.
        """
        if self._rest:
            data = self._rest + data
        try:
            at = self._after_preface(data) if self._preface else 0
            end = len(data)
            while end - at >= HEAD_BYTES:
                length = int.from_bytes(data[at : at + 3], "big")
                if length > FRAME_BYTES:
                    raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes; {FRAME_BYTES} are taken")
                start = at + HEAD_BYTES
                if end - start < length:
                    break
                stream = int.from_bytes(data[at + 5 : start], "big") & LARGEST
                self._frame(data[at + 3], data[at + 4], stream, data[start : start + length])
                at = start + length
        except Http2Error as error:
            self._sender.put(goaway(self._last_stream, error.code, str(error)))
            raise
        self._rest = data[at:] if at else data

    def outgoing(self) -> bytes:
        """What is to be sent to the peer, once."""
        return self._sender.outgoing()

    def open_stream(self, block: bytes) -> int:
        """A client's new stream, with its headers; its number."""
        self._last_stream = self._last_stream + 2 if self._last_stream else 1
        self._streams[self._last_stream] = _Stream()
        self.send_headers(self._last_stream, block)
        return self._last_stream

    def send_headers(self, stream: int, block: bytes) -> None:
        """Headers before any content; nothing where the stream is gone."""
        if stream in self._streams:
            self._sender.put_block(stream, block)

    def send(self, stream: int, data: bytes, last: bytes | None = None) -> None:
        """Content, as soon as the peer takes it.

        Parameters
        ----------
        stream : int
            Nothing is sent where it is gone.
        data : bytes
        last : bytes, optional
            The block of the trailers that end the stream; empty to end it without.
        """
        held = self._streams.get(stream)
        if held is not None:
            self._sender.send(stream, held, data, last)

    def end(self, stream: int, block: bytes) -> None:
        """End a stream without content, by headers alone or by trailers."""
        self.send(stream, b"", block)

    def reset(self, stream: int, code: ErrorCode) -> None:
        """Give a stream up."""
        if stream in self._streams:
            self._drop(stream)
            self._put_reset(stream, code)

    def leave(self) -> None:
        """Take no new streams; those that are open go on."""
        if not self._leaving:
            self._leaving = True
            self._sender.put(goaway(self._last_stream, ErrorCode.NO_ERROR))

    def _after_preface(self, data: bytes) -> int:
        """Where frames begin; it may come in pieces."""
        took = min(len(data), len(self._preface))
        if data[:took] != self._preface[:took]:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "this port answers gRPC, which begins with HTTP/2's preface")
        self._preface = self._preface[took:]
        return took

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._open_block is not None and (kind != CONTINUATION or stream != self._open_block.stream):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._settled and kind != SETTINGS:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        taken = self._kinds.get(kind)
        if taken is not None:  # others are to be passed over
            taken(flags, stream, payload)

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self._received += size
        if self._received >= CONNECTION_WINDOW // 2:
            self._sender.put(frame(WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big")))
            self._received = 0
        held = self._known(stream)
        if held is None:
            return
        if held.ended_there:
            self._give_up(stream, ErrorCode.STREAM_CLOSED)
            return
        held.received += size
        if flags & PADDED:
            payload = content(flags & PADDED, payload)
        ended = bool(flags & END_STREAM)
        if ended:
            self._ended_there(stream, held)
        elif held.received >= STREAM_WINDOW // 2:
            self._sender.put(frame(WINDOW_UPDATE, 0, stream, held.received.to_bytes(4, "big")))
            held.received = 0
        self._listener.data(stream, payload, ended)

    def _headers(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & (PADDED | HAS_PRIORITY):
            payload = content(flags, payload)
        ended = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._block(stream, ended, payload)
        else:
            self._open_block = OpenBlock(stream, ended, payload)

    def _continuation(self, flags: int, stream: int, payload: bytes) -> None:
        block = self._open_block
        if block is None:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a continuation of nothing")
        block.add(payload)
        if flags & END_HEADERS:
            self._open_block = None
            self._block(stream, block.ended, bytes(block.content))

    def _block(self, stream: int, ended: bool, block: bytes) -> None:
        fields = self._reader.read(block)  # always: what it adds to the table is needed later
        if self._client:
            self._answer_block(stream, ended, fields)
        elif stream % 2 == 0:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"stream {stream} is no number of a client's stream")
        elif stream > self._last_stream:
            self._last_stream = stream
            if self._leaving or len(self._streams) >= STREAMS:
                self._put_reset(stream, ErrorCode.REFUSED_STREAM)
                return
            self._streams[stream] = _Stream(ended_there=ended)
            self._listener.headers(stream, fields, ended)
        elif (held := self._streams.get(stream)) is not None:  # else it is over, and these are late
            self._trailers(stream, held, ended)

    def _trailers(self, stream: int, held: _Stream, ended: bool) -> None:
        """A client's, which say nothing but that the stream ends."""
        if held.ended_there or not ended:
            self._give_up(stream, ErrorCode.PROTOCOL_ERROR)
            return
        self._ended_there(stream, held)
        self._listener.data(stream, b"", True)

    def _answer_block(self, stream: int, ended: bool, fields: Fields) -> None:
        held = self._known(stream)
        if held is None:
            return
        if ended:
            self._ended_there(stream, held)
        self._listener.headers(stream, fields, ended)

    def _reset(self, flags: int, stream: int, payload: bytes) -> None:
        code = number_of(payload)
        if self._known(stream) is None:
            return
        self._drop(stream)
        self._given_up(stream, code)

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "settings of a stream")
        if len(payload) % 6 or (flags & ACK and payload):
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"settings of {len(payload)} bytes")
        if flags & ACK:
            return
        self._settled = True
        self._sender.put(frame(SETTINGS, ACK, 0))  # before what they allow: until it comes, the peer may forbid that
        for at in range(0, len(payload), 6):
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if self._sender.set(int.from_bytes(payload[at : at + 2], "big"), value):
                self._count_widening()

    def _count_widening(self) -> None:
        self._widenings += 1
        if self._widenings > _WIDENINGS and not self._client:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "windows are set faster than calls are answered")

    def _ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a ping of a stream")
        if len(payload) != 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a ping of {len(payload)} bytes")
        if not flags & ACK:
            self._sender.put(frame(PING, ACK, 0, payload))

    def _goaway(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a goaway of a stream")
        if len(payload) < 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a goaway of {len(payload)} bytes")
        self._listener.leaving(number_of(payload[:4]) & LARGEST)

    def _window_update(self, flags: int, stream: int, payload: bytes) -> None:
        more = number_of(payload) & LARGEST
        held = self._known(stream) if stream else None
        if more == 0 and (held is not None or not stream):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a window that grows by nothing")
        if not stream:
            self._sender.grow(more)
        elif held is not None:
            self._sender.grow_stream(stream, held, more)

    def _priority(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a priority of {len(payload)} bytes")

    def _push_promise(self, flags: int, stream: int, payload: bytes) -> None:
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a push that nobody asked for")

    def _known(self, stream: int) -> _Stream | None:
        """The stream; None if it is over.

        Raises
        ------
        Http2Error
            If it was never opened.
        """
        held = self._streams.get(stream)
        if held is None and (stream > self._last_stream or stream % 2 == 0):
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"a frame of stream {stream}, which is not open")
        return held

    def _put_reset(self, stream: int, code: ErrorCode) -> None:
        self._sender.put(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    def _give_up(self, stream: int, code: ErrorCode) -> None:
        """End a stream on which the peer did what it may not."""
        self.reset(stream, code)
        self._given_up(stream, code)

    def _given_up(self, stream: int, code: int) -> None:
        """Whoever did it, the peer was the cause."""
        self._resets += 1
        if self._resets > _RESETS and not self._client:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "calls are given up faster than they are answered")
        self._listener.reset(stream, code)

    def _drop(self, stream: int) -> None:
        """Forget a stream, with what was not sent."""
        self._sender.drop(stream, self._streams.pop(stream))

    def _ended_there(self, stream: int, held: _Stream) -> None:
        held.ended_there = True
        if held.ended_here:
            self._over(stream)

    def _ended_here(self, stream: int) -> None:
        held = self._streams[stream]
        held.ended_here = True
        if held.ended_there:
            self._over(stream)
        elif not self._client:  # answered before it was asked in full; the rest is not wanted
            del self._streams[stream]
            self._put_reset(stream, ErrorCode.NO_ERROR)

    def _over(self, stream: int) -> None:
        del self._streams[stream]
        self._resets = max(0, self._resets - 1)
        self._widenings = max(0, self._widenings - 1)
