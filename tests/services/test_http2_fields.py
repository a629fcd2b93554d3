"""Frames and header blocks as bytes, against literal bytes and hpack's own encoder."""

import pytest
from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from friesian_services.http2 import frames
from friesian_services.http2.fields import BLOCK_BYTES, FieldReader, written
from friesian_services.http2.frames import ErrorCode, Http2Error, Setting

# Few names and values, so that blocks repeat and tables are used, and long ones, so that tables overflow.
NAMES = st.sampled_from([b":path", b":status", b"te", b"x-a", b"x-" + b"b" * 200]) | st.binary(max_size=8)
VALUES = st.sampled_from([b"", b"/a/b", b"200", b"v" * 126, b"v" * 127, b"v" * 3000]) | st.binary(max_size=8)
BLOCKS = st.dictionaries(NAMES, VALUES, max_size=5)


def test_bytes_of_frames():
    assert frames.frame(frames.PING, frames.ACK, 0, b"12345678") == b"\0\0\x08\x06\x01\0\0\0\x0012345678"
    assert frames.frame(frames.DATA, 0, 2**31 - 1, b"x" * 16384)[:9] == b"\0\x40\0\0\0\x7f\xff\xff\xff"
    values = {Setting.INITIAL_WINDOW_SIZE: 2**31 - 1, Setting.ENABLE_PUSH: 0}
    assert frames.settings(values) == b"\0\0\x0c\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\0\x02\0\0\0\0"
    assert frames.goaway(7, ErrorCode.CANCEL, "no") == b"\0\0\x0a\x07\0\0\0\0\0\0\0\0\x07\0\0\0\x08no"
    assert len(frames.goaway(0, 0, "x" * 500)) == 9 + 8 + 200


@pytest.mark.parametrize(
    ("flags", "payload", "found"),
    [
        (0, b"abc", b"abc"),
        (frames.PADDED, b"\x02abc\0\0", b"abc"),
        (frames.PADDED, b"\0", b""),
        (frames.HAS_PRIORITY, b"\0\0\0\0\x10abc", b"abc"),
        (frames.PADDED | frames.HAS_PRIORITY, b"\x01\0\0\0\0\x10abc\0", b"abc"),
        (frames.PADDED | frames.HAS_PRIORITY, b"\x01\0\0\0\0\x10\0", b""),
    ],
)
def test_padding_and_priority_are_taken_off(flags, payload, found):
    assert frames.content(flags, payload) == found


@pytest.mark.parametrize(
    ("flags", "payload"),
    [(frames.PADDED, b""), (frames.PADDED, b"\x03ab"), (frames.HAS_PRIORITY, b"\0\0\0\0"), (0x28, b"\x01\0\0\0\0\x10")],
)
def test_padding_longer_than_the_frame(flags, payload):
    with pytest.raises(Http2Error) as caught:
        frames.content(flags, payload)
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("payload", [b"", b"abc", b"abcde"])
def test_numbers_have_four_bytes(payload):
    assert frames.number_of(b"\0\0\x01\x02") == 258
    with pytest.raises(Http2Error) as caught:
        frames.number_of(payload)
    assert caught.value.code is ErrorCode.FRAME_SIZE_ERROR


@settings(deadline=None)
@given(st.lists(st.tuples(BLOCKS, st.booleans(), st.none() | st.sampled_from([0, 40, 300, 4096]))))
def test_blocks_of_another_encoder(sent):
    """Again and again the same ones, with the table used, overflowing and resized in between."""
    encoder, reader = Encoder(), FieldReader()
    for fields, huffman, size in sent:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(3):
            assert reader.read(encoder.encode(fields, huffman=huffman)) == fields


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_blocks_are_written_as_another_decoder_reads_them(fields):
    assert [tuple(field) for field in Decoder(2**20).decode(written(fields), raw=True)] == fields
    assert FieldReader().read(written(fields)) == dict(fields)


def test_lengths_around_the_first_byte():
    assert written([(b"a", b"b" * 126)]) == b"\0\x01a\x7e" + b"b" * 126
    assert written([(b"a", b"b" * 127)]) == b"\0\x01a\x7f\0" + b"b" * 127
    assert written([(b"a", b"b" * 255)]) == b"\0\x01a\x7f\x80\x01" + b"b" * 255


def test_the_same_block_means_another_thing_once_the_table_has_changed():
    reader = FieldReader()
    first_entry = b"\xbe"  # of the dynamic table
    reader.read(b"\x40\x01a\x01b")
    assert reader.read(first_entry) == reader.read(first_entry) == {b"a": b"b"}
    reader.read(b"\x40\x01c\x01d")
    assert reader.read(first_entry) == {b"c": b"d"}
    reader.read(b"\x20")  # the table is emptied
    with pytest.raises(Http2Error) as caught:
        reader.read(first_entry)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_as_many_different_blocks_as_one_likes():
    reader = FieldReader()
    for number in range(1000):
        assert reader.read(b"\x10\x01a\x04%04d" % (number % 300)) == {b"a": b"%04d" % (number % 300)}
    assert len(reader._kept) <= 64


def test_of_a_field_that_is_there_twice_the_last():
    fields = [(b"a", b"1"), (b"a", b"2")]
    assert FieldReader().read(written(fields)) == {b"a": b"2"}
    assert FieldReader().read(Encoder().encode(fields)) == {b"a": b"2"}


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # entry 0
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a number without end
        b"\x40\x05abc",  # cut short
        b"\0\x01a\x05b",
        b"\0",
        b"\0\x01",
        b"\0\x01a",
        b"\x40\x01a\x81\x00",  # no such Huffman code
        b"\x82\x20",  # a size behind a field
        b"\x3f\xe2\x1f",  # a table of 4,097 bytes
    ],
)
def test_what_is_no_block(block):
    with pytest.raises(Http2Error) as caught:
        FieldReader().read(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_an_error_does_not_quote_all_that_was_sent():
    with pytest.raises(Http2Error) as caught:
        FieldReader().read(b"\x40" + b"\xff" * 16000)
    assert len(str(caught.value)) < 200


def test_a_small_block_that_means_a_large_one():
    """An entry of the table of 4,000 bytes, named again and again."""
    reader = FieldReader()
    reader.read(Encoder().encode([(b"a", b"x" * 4000)], huffman=False))
    assert len(reader.read(b"\xbe" * 4)) == 1
    with pytest.raises(Http2Error) as caught:
        reader.read(b"\xbe" * (BLOCK_BYTES // 4000 + 1))
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes_are_a_block_or_refused(blocks):
    """As hpack says, whatever was kept before."""
    reader, decoder = FieldReader(), Decoder(BLOCK_BYTES)
    for block in (block for block in blocks for _ in range(2)):
        try:
            fields = dict(decoder.decode(block, raw=True))
        except Exception:
            with pytest.raises(Http2Error):
                reader.read(block)
            return
        assert reader.read(block) == fields
