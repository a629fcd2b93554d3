"""Health and reflection of the gRPC server, asked by grpcio."""

import gzip

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.services.rpc_server import (
    NAME,
    WAIT_S,
    FrameClient,
    address,
    error,
    eventually,
    framed,
    serving,
)


def test_a_watch_that_asks_for_more_than_a_name():
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers("/grpc.health.v1.Health/Watch", grpc_encoding="gzip")
        client.h2.send_data(stream, framed(gzip.compress(bytes(5000)), 1), end_stream=True)
        assert client.outcome(stream)[0][b"grpc-status"] == b"8"


def test_health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", NAME):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=WAIT_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    failed = error(lambda: stub.Check(health_pb2.HealthCheckRequest(service="x"), timeout=WAIT_S))
    assert failed.code() is grpc.StatusCode.NOT_FOUND


def test_a_watch_sees_the_end():
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=WAIT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.stop(WAIT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert error(lambda: next(watch)).code() is grpc.StatusCode.UNAVAILABLE


def test_a_watch_of_what_is_not_there():
    """The names that clients make up are not kept."""
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="x"), timeout=WAIT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        assert "x" not in server._health._send_response_callbacks
        server.stop(WAIT_S)
        assert error(lambda: next(watch)).code() is grpc.StatusCode.UNAVAILABLE


def test_watches_that_end_are_forgotten():
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for _ in range(3):
            watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
            next(watch)
            watch.cancel()
        eventually(lambda: not server._health._send_response_callbacks[""])


def test_reflection(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert database.FindFileByName(health_pb2.DESCRIPTOR.name).package == "grpc.health.v1"


def test_reflection_that_is_asked_nothing(server):
    with FrameClient(server.port) as client:
        stream = client.headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", end=True)
        fields, content = client.outcome(stream)
        assert (fields[b":status"], fields[b"grpc-status"], content) == (b"200", b"0", b"")


def test_reflection_that_is_asked_what_is_no_message(server):
    """Behind an answer the status stands in trailers, without one in headers."""
    for before in (b"", framed(b"\x3a\x01*")):
        with FrameClient(server.port) as client:
            stream = client.headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            client.h2.send_data(stream, before)
            while before and not any(getattr(event, "data", b"") for event in client.seen):
                assert client.receive()
            client.h2.send_data(stream, framed(b"x", flag=7), end_stream=True)
            fields, content = client.outcome(stream)
            assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"12")
            assert bool(content) == bool(before)
