"""Header blocks (RFC 7541): read with hpack, written as literals that need no table."""

from __future__ import annotations

from collections.abc import Iterable

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from friesian_services.http2.frames import ErrorCode, Http2Error

# gRPC's own bound on metadata.
BLOCK_BYTES = 16384
_KEPT_BLOCKS, _KEPT_BYTES = 64, 512
_SIZE_UPDATE = 0x20
# A block of BLOCK_BYTES needs one or two, and each costs time, whatever it holds.
_CONTINUATIONS = 64

Fields = dict[bytes, bytes]


class _Table(HeaderTable):
    """Counts what is added: a block means the same again as long as nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self.added = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.added += 1
        super().add(name, value)


class OpenBlock:
    """A block that comes in several frames.

    Parameters
    ----------
    stream : int
    ended : bool
        Whether its stream ends with it.
    content : bytes
        Of the first frame.
    """

    __slots__ = ("content", "ended", "frames", "stream")

    def __init__(self, stream: int, ended: bool, content: bytes) -> None:
        self.stream, self.ended = stream, ended
        self.content, self.frames = bytearray(content), 0

    def add(self, payload: bytes) -> None:
        """One frame more.

        Raises
        ------
        Http2Error
            If they are too many, or too long together.
        """
        self.content += payload
        self.frames += 1
        if len(self.content) > BLOCK_BYTES or self.frames > _CONTINUATIONS:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, f"the headers are over {BLOCK_BYTES} bytes, or without end")


class FieldReader:
    """Reads the header blocks of one connection, in their order.

    A client's calls have the same few blocks: those that change no table are kept with what they mean. Decoding one
    takes as long as all else that is done for a call here.
    """

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=BLOCK_BYTES)
        self._table = self._decoder.header_table = _Table()
        self._kept: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """The fields by name; of one that is there several times the last. Not to be changed.

        Raises
        ------
        Http2Error
            If the block is none, or too long.
        """
        found = self._kept.get(block) or _plain(block)
        if found is not None:
            return found
        added = self._table.added
        try:
            fields = dict(self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, f"the headers are over {BLOCK_BYTES} bytes") from error
        except HPACKError as error:
            text = f"the headers cannot be decoded: {str(error)[:100]}"  # it may quote all of them
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, text) from error
        if self._table.added != added or (block and block[0] & 0xE0 == _SIZE_UPDATE):
            self._kept.clear()
        elif len(block) <= _KEPT_BYTES:
            if len(self._kept) == _KEPT_BLOCKS:
                self._kept.clear()
            self._kept[block] = fields
        return fields


def written(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals; it reads the same whatever was sent before."""
    return b"".join([b"\x00%b%b%b%b" % (_length(name), name, _length(value), value) for name, value in fields])


def _plain(block: bytes) -> Fields | None:
    """The fields of a block of short literals, as `written` makes it; None for any other."""
    fields: Fields = {}
    at, end = 0, len(block)
    while at + 1 < end and block[at] == 0:
        start = at + 2
        middle = start + block[at + 1]
        if middle - start >= 0x7F or middle >= end:
            return None
        at = middle + 1 + block[middle]
        if block[middle] >= 0x7F:
            return None
        fields[block[start:middle]] = block[middle + 1 : at]
    return fields if at == end else None


def _length(text: bytes) -> bytes:
    """Seven bits, then as many as needed (RFC 7541, section 5.1)."""
    rest = len(text)
    if rest < 0x7F:
        return bytes((rest,))
    rest -= 0x7F
    found = bytearray(b"\x7f")
    while rest >= 0x80:
        found.append(0x80 | rest & 0x7F)
        rest >>= 7
    found.append(rest)
    return bytes(found)
