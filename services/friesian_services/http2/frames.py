"""Frames of HTTP/2 as bytes (RFC 9113, sections 4 to 7)."""

from __future__ import annotations

from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
# What every peer takes unless it says otherwise.
FRAME_BYTES = 16384
WINDOW_BYTES = 65535
LARGEST = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20


class Setting(IntEnum):
    """Parameters of a SETTINGS frame that matter here."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Http2Error(Exception):
    """The peer broke the protocol: the connection cannot go on."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    """One frame."""
    head = (len(payload) << 48 | kind << 40 | flags << 32 | stream).to_bytes(HEAD_BYTES, "big")
    return b"".join((head, payload))


def settings(values: dict[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    pairs = [number.to_bytes(2, "big") + value.to_bytes(4, "big") for number, value in values.items()]
    return frame(SETTINGS, 0, 0, b"".join(pairs))


def goaway(last_stream: int, code: int, text: str = "") -> bytes:
    """A GOAWAY frame: nothing above that stream was or will be looked at."""
    return frame(GOAWAY, 0, 0, last_stream.to_bytes(4, "big") + code.to_bytes(4, "big") + text.encode()[:200])


def number_of(payload: bytes) -> int:
    """The payload of a frame that is one number of 31 bits, or an error code of 32.

    Raises
    ------
    Http2Error
        If it is not four bytes.
    """
    if len(payload) != 4:
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"a frame of 4 bytes has {len(payload)}")
    return int.from_bytes(payload, "big")


def content(flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without its padding and priority.

    Raises
    ------
    Http2Error
        If it is shorter than those.
    """
    start, end = 0, len(payload)
    if flags & PADDED:
        start, end = 1, end - (payload[0] if payload else 0)
    if flags & HAS_PRIORITY:
        start += 5
    if start > end:
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "padding or priority is longer than its frame")
    return payload[start:end]
