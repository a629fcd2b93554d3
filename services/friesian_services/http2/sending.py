"""What a connection sends: frames at once, content as far as the peer's windows go (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from friesian_services.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    HEADERS,
    LARGEST,
    WINDOW_BYTES,
    ErrorCode,
    Http2Error,
    Setting,
    frame,
)


class SendingStream:
    """What of one stream waits for the peer's leave to be sent, and how much leave there is."""

    __slots__ = ("waiting", "window")

    def __init__(self) -> None:
        # Above the one that all streams begin with: settings change that for all of them at once.
        self.window = 0
        # Content and what comes behind it: None for nothing, b"" for the end, trailers that are the end.
        self.waiting: deque[tuple[bytes | memoryview, bytes | None]] = deque()


class Sender:
    """The way to the peer.

    A frame that gives leave costs no more than what is sent for it, however many streams wait: those that wait for the
    connection's window alone stand in a queue, those that wait for their own are left alone until that grows.

    Parameters
    ----------
    first : bytes
        What goes out before all else.
    ended : callable
        Told of each stream whose end is sent.
    """

    def __init__(self, first: bytes, ended: Callable[[int], None]) -> None:
        self._out = [first]
        self._ended = ended
        self._window = self._stream_window = WINDOW_BYTES
        self._queue: OrderedDict[int, SendingStream] = OrderedDict()
        self._blocked: dict[int, SendingStream] = {}
        self._table_update = b""
        self._frame_bytes = FRAME_BYTES
        self.unsent = self.sent = 0  # bytes of content

    def outgoing(self) -> bytes:
        """What is to be sent, once."""
        out, self._out = self._out, []
        return b"".join(out)

    def put(self, made: bytes) -> None:
        """Send a frame that no window holds up."""
        self._out.append(made)

    def put_block(self, stream: int, block: bytes, flags: int = END_HEADERS) -> None:
        """Send headers or trailers, in as many frames as the peer's longest frame makes it."""
        if self._table_update:
            block, self._table_update = self._table_update + block, b""
        longest = self._frame_bytes
        if len(block) <= longest:
            self._out.append(frame(HEADERS, flags, stream, block))
            return
        self._out.append(frame(HEADERS, flags & ~END_HEADERS, stream, block[:longest]))
        for at in range(longest, len(block), longest):
            is_last = at + longest >= len(block)
            self._out.append(frame(CONTINUATION, END_HEADERS if is_last else 0, stream, block[at : at + longest]))

    def send(self, stream: int, held: SendingStream, data: bytes, last: bytes | None) -> None:
        """Send content, and what comes behind it, as soon as the peer takes it."""
        self.unsent += len(data)
        waiting = held.waiting
        if not waiting and len(data) <= min(self._window, self._stream_window + held.window):
            self._put(stream, held, data, last)
            return
        waiting.append((data, last))
        if len(waiting) == 1:  # what waits before it has no leave
            self._push(stream, held)

    def drop(self, stream: int, held: SendingStream) -> None:
        """Forget what a stream has not sent."""
        for data, _ in held.waiting:
            self.unsent -= len(data)
        self._leave_line(stream)

    def grow(self, more: int) -> None:
        """The connection's window grows."""
        self._window = _grown(self._window, more)
        self._push_queue()

    def grow_stream(self, stream: int, held: SendingStream, more: int) -> None:
        """A stream's window grows."""
        held.window = _grown(self._stream_window + held.window, more) - self._stream_window
        if held.waiting:
            self._push(stream, held)

    def set(self, number: int, value: int) -> bool:
        """Heed one of the peer's settings; whether all streams that wait for their windows were looked at for it.

        Raises
        ------
        Http2Error
            If the setting has no such value.
        """
        if number == Setting.INITIAL_WINDOW_SIZE:
            if value > LARGEST:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {value} bytes")
            return self._set_stream_window(value)
        if number == Setting.MAX_FRAME_SIZE:
            if not FRAME_BYTES <= value < 1 << 24:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"frames of at most {value} bytes")
            self._frame_bytes = value
        elif number == Setting.HEADER_TABLE_SIZE:
            # Our blocks use no table; that its size is at most the peer's has to be said once.
            self._table_update = b"\x20"
        elif number == Setting.ENABLE_PUSH and value > 1:
            raise Http2Error(ErrorCode.PROTOCOL_ERROR, f"push is {value}; it is 0 or 1")
        return False

    def _set_stream_window(self, size: int) -> bool:
        grows, self._stream_window = size > self._stream_window, size
        if not grows or not self._blocked:
            return False
        blocked, self._blocked = self._blocked, {}
        self._queue.update(blocked)
        self._push_queue()
        return True

    def _push_queue(self) -> None:
        while self._queue and self._window > 0:
            self._push(*next(iter(self._queue.items())))

    def _push(self, stream: int, held: SendingStream) -> None:
        """Send what waits, as far as the windows go."""
        waiting = held.waiting
        while waiting:
            data, last = waiting.popleft()
            room = min(self._window, self._stream_window + held.window)
            if data and len(data) > room:
                view = memoryview(data)  # a large answer goes out in many pieces, and none is copied twice
                waiting.appendleft((view[max(room, 0) :], last))
                if room > 0:
                    self._put_data(stream, held, view[:room], ended=False)
                self._stand_in_line(stream, held)
                return
            self._put(stream, held, data, last)
        self._leave_line(stream)

    def _stand_in_line(self, stream: int, held: SendingStream) -> None:
        """In the one for the connection's window, or in the one for its own."""
        if self._stream_window + held.window > 0:
            self._queue[stream] = held
            self._blocked.pop(stream, None)
        else:
            self._blocked[stream] = held
            self._queue.pop(stream, None)

    def _leave_line(self, stream: int) -> None:
        self._queue.pop(stream, None)
        self._blocked.pop(stream, None)

    def _put(self, stream: int, held: SendingStream, data: bytes | memoryview, last: bytes | None) -> None:
        """Content that has leave, and what comes behind it."""
        if data or last == b"":
            self._put_data(stream, held, data, ended=last == b"")
        if last:
            self.put_block(stream, last, END_HEADERS | END_STREAM)
        if last is not None:
            self._ended(stream)

    def _put_data(self, stream: int, held: SendingStream, data: bytes | memoryview, *, ended: bool) -> None:
        size, longest = len(data), self._frame_bytes
        self._window -= size
        held.window -= size
        self.unsent -= size
        self.sent += size
        for at in range(0, max(size, 1), longest):
            is_last = at + longest >= size
            self._out.append(frame(DATA, END_STREAM if ended and is_last else 0, stream, data[at : at + longest]))


def _grown(window: int, more: int) -> int:
    if window + more > LARGEST:
        raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "a window over its largest size")
    return window + more
