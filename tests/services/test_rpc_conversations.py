"""Those who converse with the server (reflection) or watch it (health): what they may hold, and for how long."""

import gzip
import threading

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from h2.events import DataReceived, PingAckReceived, StreamReset
from tests.services.rpc_server import NAME, FrameClient, framed, serving

from friesian_services.http2.frames import ErrorCode
from friesian_services.rpc import protocol, unread, workplace

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
WATCH = "/grpc.health.v1.Health/Watch"
LIST = ServerReflectionRequest(list_services="*").SerializeToString()
UNFINISHED = b"\0" + (4000).to_bytes(4, "big") + bytes(3000)


def ask(client, stream, *messages):
    """Some messages of a conversation, in one frame."""
    client.h2.send_data(stream, b"".join(map(framed, messages)))


def answers(client, stream, count):
    """So many answers, read in full."""
    while True:
        content = b"".join(
            event.data for event in client.seen if isinstance(event, DataReceived) and event.stream_id == stream
        )
        found = []
        while len(content) >= 5 and len(content) >= (end := 5 + int.from_bytes(content[1:5], "big")):
            found.append(ServerReflectionResponse.FromString(content[5:end]))
            content = content[end:]
        if len(found) >= count:
            return found
        assert client.receive(), client.seen


def status(client, stream):
    fields, _ = client.outcome(stream)
    return int(fields[b"grpc-status"]), fields.get(b"grpc-message", b"").decode()


def test_answers_are_in_the_order_of_the_questions():
    names = [f"no_such_{number}" for number in range(50)]
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers(REFLECTION)
        ask(client, stream, *(ServerReflectionRequest(file_by_filename=name).SerializeToString() for name in names))
        client.h2.end_stream(stream)
        found = answers(client, stream, len(names))
        assert [answer.original_request.file_by_filename for answer in found] == names
        assert status(client, stream) == (0, "")


def test_silent_conversations_hold_nobody_up():
    """However many they are; each is answered whenever it goes on."""
    with serving() as server, FrameClient(server.port) as client:
        talks = [client.headers(REFLECTION) for _ in range(20)]
        for count in (1, 2):
            for stream in talks:
                ask(client, stream, LIST)
                assert len(answers(client, stream, count)) == count
        for stream in talks:
            client.h2.end_stream(stream)
            assert status(client, stream) == (0, "")


def test_more_conversations_than_may_wait_for_a_thread(monkeypatch):
    monkeypatch.setattr(workplace, "_QUEUED", 0)
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers(REFLECTION)
        ask(client, stream, LIST)
        assert status(client, stream) == (8, "too many calls wait for a thread")


@pytest.mark.parametrize("path", [REFLECTION, WATCH])
def test_a_message_has_few_bytes(path):
    """It is refused by its length, before it has come."""
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers(path)
        client.h2.send_data(stream, b"\0" + (4097).to_bytes(4, "big"))
        assert status(client, stream) == (8, "a message has at most 4096 bytes here; this: 4097 bytes")


@pytest.mark.parametrize("path", [REFLECTION, WATCH])
def test_a_compressed_message_has_few_bytes(path):
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers(path, grpc_encoding="gzip")
        client.h2.send_data(stream, framed(gzip.compress(bytes(100_000)), flag=1), end_stream=True)
        code, text = status(client, stream)
        assert (code, text.partition(";")[0]) == (8, "a message has at most 4096 bytes here")


@pytest.mark.parametrize("whose", [protocol, workplace])
def test_unfinished_messages_count(whose, monkeypatch):
    """Of one connection, and of all."""
    monkeypatch.setattr(whose, "_HELD_BYTES", 5000)
    with serving() as server, FrameClient(server.port) as client:
        streams = [client.headers(REFLECTION) for _ in range(2)]
        client.h2.send_data(streams[0], UNFINISHED)
        client.h2.send_data(streams[1], UNFINISHED)
        assert status(client, streams[1]) == (8, "too many bytes of requests are not yet answered")
        assert not client.has_ended(streams[0])
        client.h2.reset_stream(streams[0])
        again = client.headers(REFLECTION)
        client.h2.send_data(again, UNFINISHED)
        client.h2.ping(b"12345678")
        client.until(PingAckReceived)
        assert not client.has_ended(again)


def test_messages_without_content_count(monkeypatch):
    monkeypatch.setattr(protocol, "_HELD_BYTES", 5000)
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers(REFLECTION)
        ask(client, stream, *[b""] * 100)
        assert status(client, stream) == (8, "too many bytes of requests are not yet answered")


def test_messages_that_are_answered_no_longer_count(monkeypatch):
    monkeypatch.setattr(protocol, "_HELD_BYTES", 300)
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers(REFLECTION)
        for count in range(1, 11):
            ask(client, stream, LIST)
            answers(client, stream, count)
        assert not client.has_ended(stream)


def test_messages_of_watchers_no_longer_count(monkeypatch):
    asked = HealthCheckRequest(service=NAME).SerializeToString()
    monkeypatch.setattr(protocol, "_HELD_BYTES", 300)
    with serving() as server, FrameClient(server.port) as client:
        for _ in range(3):
            stream = client.ask(WATCH, asked)
            client.until(DataReceived, stream)


def test_a_message_that_is_never_finished():
    """A conversation between two messages may be as long as it likes."""
    with serving(patience_s=0.3) as server, FrameClient(server.port) as client:
        silent, half, slow = (client.headers(REFLECTION) for _ in range(3))
        for stream in (silent, half, slow):
            ask(client, stream, LIST)
            answers(client, stream, 1)
        client.h2.send_data(half, UNFINISHED)
        assert status(client, half) == (4, "the request was not complete within 0.3 seconds")
        for count in range(2, 9):  # always a piece of the next one, but each is finished in time
            client.h2.send_data(slow, framed(LIST)[3 if count > 2 else 0 :] + framed(LIST)[:3])
            answers(client, slow, count)
            threading.Event().wait(0.1)
        ask(client, silent, LIST)
        assert len(answers(client, silent, 2)) == 2
        assert not client.has_ended(slow)


def test_answers_that_wait_to_be_read_are_bounded(monkeypatch):
    monkeypatch.setattr(unread, "_UNREAD_BYTES", 5_000)
    with serving() as server, FrameClient(server.port) as client:
        client.h2.update_settings({4: 0})
        stream = client.headers(REFLECTION)
        for _ in range(200):
            client.h2.send_data(stream, framed(LIST))
        client.flush()
        assert client.until(StreamReset, stream).error_code == ErrorCode.ENHANCE_YOUR_CALM


def test_questions_that_are_not_yet_read_are_bounded(monkeypatch):
    monkeypatch.setattr(protocol, "_UNREAD_QUESTIONS", 3)
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers(REFLECTION)
        client.h2.send_data(stream, framed(LIST) * 4)
        assert client.outcome(stream)[0][b"grpc-status"] == b"8"


def test_a_last_answer_that_has_no_room(monkeypatch, caplog):
    monkeypatch.setattr(unread, "_UNREAD_BYTES", 10)
    with serving() as server, FrameClient(server.port) as client:
        client.h2.update_settings({4: 0})
        stream = client.headers(REFLECTION)
        ask(client, stream, LIST, LIST)
        client.h2.end_stream(stream)
        assert client.until(StreamReset, stream).error_code == ErrorCode.ENHANCE_YOUR_CALM
        client.h2.ping(b"12345678")
        client.until(PingAckReceived)
    assert "Traceback" not in caplog.text
