"""What stands in the content and in the headers of a gRPC call (gRPC over HTTP/2, the protocol's specification)."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote

import grpc

from friesian_services.http2.fields import Fields, written

# Bounds one message; 10,000 candidates with a list of 500 numbers each still fit.
MESSAGE_BYTES = 64 << 20
CONTENT_TYPE = b"application/grpc"
HEADERS = written([(b":status", b"200"), (b"content-type", CONTENT_TYPE)])

_PREFIX_BYTES = 5
_OK = written([(b"grpc-status", b"0")])
_ENCODINGS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
_ACCEPTED = (b"grpc-accept-encoding", b"identity,gzip,deflate")
_CODES = {b"%d" % code.value[0]: code for code in grpc.StatusCode}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
# What an HTTP status means where something between answers in the service's place (gRPC's own table).
_HTTP_CODES = {
    b"400": grpc.StatusCode.INTERNAL,
    b"401": grpc.StatusCode.UNAUTHENTICATED,
    b"403": grpc.StatusCode.PERMISSION_DENIED,
    b"404": grpc.StatusCode.UNIMPLEMENTED,
} | dict.fromkeys((b"429", b"502", b"503", b"504"), grpc.StatusCode.UNAVAILABLE)
_UNIT_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# What a status text holds as it is: printable ASCII but the percent sign.
_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"

Metadata = Iterable[tuple[str, str | bytes]]


class CallError(grpc.RpcError):  # type: ignore[misc]  # grpcio has no types
    """A call that ended with another status than OK, at either side."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """What it says of itself."""
        return self._details


def is_grpc(fields: Fields) -> bool:
    """Whether headers are those of a gRPC call, with whatever kind of messages."""
    kind = fields.get(b"content-type", b"")
    return kind == CONTENT_TYPE or kind.startswith((CONTENT_TYPE + b"+", CONTENT_TYPE + b";"))


def framed(message: bytes) -> bytes:
    """A message as it stands in the content."""
    return b"\x00%b%b" % (len(message).to_bytes(4, "big"), message)


class Message(NamedTuple):
    """One as it was sent; a flag that is not 0 says that it is compressed."""

    flag: int
    content: bytes


class MessageReader:
    """Puts the messages of one stream together.

    Parameters
    ----------
    fields : Fields
        The headers before them.
    most : int, optional
        Bytes that one may have, compressed or not; as many as any message unless given.
    """

    def __init__(self, fields: Fields, most: int | None = None) -> None:
        self._encoding = fields.get(b"grpc-encoding", b"identity")
        self._most = MESSAGE_BYTES if most is None else most
        self._rest = bytearray()

    @property
    def size(self) -> int:
        """Bytes of a message that is not yet whole."""
        return len(self._rest)

    def add(self, data: bytes) -> list[Message]:
        """The messages that are whole with this piece.

        Raises
        ------
        CallError
            If one is too long.
        """
        rest = self._rest
        if rest:  # a piece that completes nothing costs its bytes, however small it is
            rest += data
        content = rest or data
        messages: list[Message] = []
        at, size = 0, len(content)
        while size - at >= _PREFIX_BYTES:
            start = at + _PREFIX_BYTES
            length = int.from_bytes(content[at + 1 : start], "big")
            if length > self._most:
                raise _too_long(f"{length} bytes", self._most)
            if size - start < length:
                break
            flag, at = content[at], start + length
            messages.append(Message(flag, bytes(memoryview(content)[start:at])))
        if content is rest:
            del rest[:at]
        elif at < size:
            rest += data[at:]
        return messages

    def only(self, messages: list[Message]) -> Message:
        """The message of a stream that has ended and has one.

        Raises
        ------
        CallError
            If there is another number, or a piece of one.
        """
        if len(messages) != 1 or self._rest:
            raise CallError(grpc.StatusCode.INTERNAL, f"a call has one whole message; this has {len(messages)}")
        return messages[0]

    def plain(self, message: Message) -> bytes:
        """A message as it was before it was compressed: of thousands of bytes it may take a tenth of a second.

        Raises
        ------
        CallError
            If it is longer, or compressed in a way that is not read here.
        """
        if message.flag == 0:
            return message.content
        bits = _ENCODINGS.get(self._encoding)
        if message.flag != 1 or bits is None:
            known = "identity, gzip and deflate"
            raise CallError(grpc.StatusCode.UNIMPLEMENTED, f"messages are read in {known}, not in {self._encoding!r}")
        unpacking = zlib.decompressobj(bits)
        try:
            plain = unpacking.decompress(message.content, self._most)
        except zlib.error as error:
            raise CallError(grpc.StatusCode.INTERNAL, f"a message that cannot be decompressed: {error}") from error
        if unpacking.unconsumed_tail:
            raise _too_long("more when it is decompressed", self._most)
        if not unpacking.eof:
            raise CallError(grpc.StatusCode.INTERNAL, "a compressed message that is cut short")
        return plain


def trailers(code: grpc.StatusCode, details: str, metadata: Metadata = ()) -> bytes:
    """The block that ends an answer."""
    if code is grpc.StatusCode.OK and not metadata:
        return _OK
    return written(_status(code, details, metadata))


def refusal(code: grpc.StatusCode, details: str, metadata: Metadata = ()) -> bytes:
    """The block of an answer that is nothing but its status."""
    fields = [(b":status", b"200"), (b"content-type", CONTENT_TYPE), _ACCEPTED]
    return written(fields + _status(code, details, metadata))


def status_in(fields: Fields) -> tuple[grpc.StatusCode, str]:
    """The status in a block that ended an answer."""
    number = fields.get(b"grpc-status")
    if number is None:
        http = fields.get(b":status", b"missing")
        text = f"the answer has no gRPC status; its HTTP status is {http.decode('ascii', 'replace')}"
        return _HTTP_CODES.get(http, grpc.StatusCode.UNKNOWN), text
    return _CODES.get(number, grpc.StatusCode.UNKNOWN), unquote(
        fields.get(b"grpc-message", b"").decode("ascii", "replace")
    )


def timeout_in(fields: Fields) -> float | None:
    """Seconds that the caller waits; None for one that waits forever.

    Raises
    ------
    CallError
        If the header says something else.
    """
    text = fields.get(b"grpc-timeout")
    if text is None:
        return None
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        raise CallError(grpc.StatusCode.INVALID_ARGUMENT, f"grpc-timeout is {text!r}; it must be like 250m or 5S")
    return int(found[1]) * _UNIT_S[found[2]]


def timeout_text(seconds: float) -> bytes:
    """At least a microsecond, at most what eight digits of seconds say."""
    micros = max(1, int(seconds * 1e6))
    return b"%du" % micros if micros < 10**8 else b"%dS" % min(int(seconds), 10**8 - 1)


def metadata_fields(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """Metadata as header fields; binary values, by the ends of their names, in base64."""
    return [
        (
            name.encode("ascii"),
            base64.b64encode(value) if isinstance(value, bytes) else value.encode("ascii", "replace"),
        )
        for name, value in metadata
    ]


def _status(code: grpc.StatusCode, details: str, metadata: Metadata) -> list[tuple[bytes, bytes]]:
    fields = [(b"grpc-status", b"%d" % code.value[0])]
    if details:
        fields.append((b"grpc-message", quote(details, safe=_SAFE, errors="replace").encode("ascii")))
    return fields + metadata_fields(metadata)


def _too_long(what: str, most: int) -> CallError:
    text = f"a message has at most {most} bytes here; this: {what}"
    return CallError(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
