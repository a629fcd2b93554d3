"""Whatever is sent, the services answer it or say what is wrong with it, and go on."""

import contextlib
import json
import socket
from dataclasses import replace

import grpc
import httpx
import pytest
from friesian_services._pb import (
    feature_pb2_grpc,
    ranking_pb2_grpc,
    recall_pb2,
    recall_pb2_grpc,
    recommender_pb2,
    recommender_pb2_grpc,
)
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.fuzz import damaged
from tests.services.test_http_app import make_app
from tests.services.test_interceptor import AbortedError, Context
from tests.services.tiny_release import features, user_id

from friesian_fast.errors import InvalidInputError
from friesian_fast.recommend import open_recall, open_recommender
from friesian_fast.release.open import open_release
from friesian_services import wire
from friesian_services.backends import LocalBackends
from friesian_services.feature.servicer import FeatureServicer, RowsServicer
from friesian_services.interceptor import CallInterceptor
from friesian_services.ranking.servicer import RankingServicer, ScoresServicer
from friesian_services.recall.servicer import CandidatesServicer, RecallServicer
from friesian_services.recommender.many import recommend_all
from friesian_services.recommender.servicer import RecommenderServicer, RecommendServicer
from friesian_services.timers import Timers

CASES = 400
REFUSED = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "UNIMPLEMENTED"}
HEAD = b"GET /recommender/recommend/4?k=3&canK=50 HTTP/1.1\r\nhost: x\r\nx-request-id: a\r\nconnection: close\r\n\r\n"


FILTER = v1.Filter(
    allow=v1.Ids(int64=v1.Int64s(values=range(1000, 3000))),
    deny=v1.Ids(int64=v1.Int64s(values=[1000, 7])),
    seen=v1.Ids(int64=v1.Int64s(values=[1007])),
    where='{"and": [{"col": "price", "lt": 0.5}, {"not": {"col": "genre", "in": [1, 2]}}]}',
)
BODY = (
    b'{"filter": {"allow": [1000, 1007, 1014], "deny": [1000], "seen": [7], '
    b'"where": {"or": [{"col": "price", "between": [0, 0.5]}, {"col": "genre", "null": true}]}}}'
)


class Registry:
    """Takes handlers as a gRPC server does."""

    def __init__(self):
        self.handlers = {}

    def add_generic_rpc_handlers(self, handlers):
        """The generated code calls this too."""

    def add_registered_method_handlers(self, service, handlers):
        for method, handler in handlers.items():
            self.handlers[f"/{service}/{method}"] = handler


class Caller(Context):
    def set_trailing_metadata(self, metadata):
        """Nobody looks."""


@pytest.fixture(scope="module")
def methods(ruled_releases):
    """Every method of every service, on the real stages, as gRPC would call it: bytes in, bytes out."""
    release, timers = open_release(ruled_releases), Timers()
    stores = {name: release.row_store(name) for name in ("user", "item", "user_vector")}
    recall = open_recall(release, release.index(), stores["user_vector"])
    recommender, registry = open_recommender(release), Registry()
    backends = LocalBackends(timers)
    recommender_pb2_grpc.add_RecommenderServicer_to_server(RecommenderServicer(recommender, timers, backends), registry)
    v1_grpc.add_RecommenderServicer_to_server(RecommendServicer(recommender, timers), registry)
    recall_pb2_grpc.add_RecallServicer_to_server(RecallServicer(recall, "int64", timers), registry)
    v1_grpc.add_RecallServicer_to_server(CandidatesServicer(recall, "int64", "int64", release.id), registry)
    feature_pb2_grpc.add_FeatureServicer_to_server(FeatureServicer(timers), registry)
    v1_grpc.add_FeatureServicer_to_server(RowsServicer(stores, release.id, timers), registry)
    ranking_pb2_grpc.add_RankingServicer_to_server(RankingServicer(timers), registry)
    v1_grpc.add_RankingServicer_to_server(ScoresServicer(release.ranker(), release.id, timers), registry)
    interceptor = CallInterceptor()
    return {name: interceptor.wrapped(handler, name) for name, handler in registry.handlers.items()}


def sound_messages():
    """For each method that takes more than nothing, requests that it answers."""
    users = v1.Ids(int64=v1.Int64s(values=[user_id(3), user_id(7)]))
    user, item = features()
    inputs = {"user_age": user["age"][:4], "spend": user["spend"][:4]}
    inputs |= {name: values[:4] for name, values in item.items()}
    rows = [v1.RowsRequest(row_set=name, ids=users) for name in ("user", "item", "user_vector")]
    found = {
        "/recommender.Recommender/getRecommendIDs": [
            recommender_pb2.RecommendRequest(recommendNum=3, candidateNum=50, ID=[1, 2, 3])
        ],
        "/friesian.v1.Recommender/Recommend": [
            v1.RecommendRequest(users=users, k=3, candidates=20),
            v1.RecommendRequest(users=users, explain=True),
            v1.RecommendRequest(users=users, k=3, filter=FILTER),
        ],
        "/recall.Recall/searchCandidates": [recall_pb2.Query(userID=4, k=20)],
        "/friesian.v1.Recall/SearchCandidates": [
            v1.CandidatesRequest(user=v1.Ids(int64=v1.Int64s(values=[user_id(4)])), k=20),
            v1.CandidatesRequest(user=v1.Ids(int64=v1.Int64s(values=[user_id(4)])), k=20, filter=FILTER),
        ],
        "/friesian.v1.Feature/GetRows": rows,
        "/friesian.v1.Ranking/Predict": [v1.PredictRequest(inputs=wire.tensors_to_messages(inputs))],
    }
    return {name: [message.SerializeToString() for message in messages] for name, messages in found.items()}


SOUND = sound_messages()


def outcome(handler, data):
    """OK, or the status it was refused with."""
    try:
        handler.response_serializer(handler.unary_unary(data, Caller()))
    except AbortedError as error:
        code, details = error.args
        assert details
        return code.name
    return "OK"


def test_explained_candidates_are_counted_as_the_release_ranks_them(releases):
    release = open_release(releases)
    ranker = replace(release.manifest.ranker, candidates=300)
    recommender = open_recommender(replace(release, manifest=replace(release.manifest, ranker=ranker)))
    users = [user_id(n) for n in range(34)]
    with pytest.raises(InvalidInputError, match="10200 explained candidates are too many"):
        recommend_all(recommender, users, None, None, Caller(), explain=True)
    assert len(recommend_all(recommender, users[:2], None, None, Caller(), explain=True)) == 2


@pytest.mark.parametrize("name", SOUND)
def test_damaged_messages(methods, name, caplog):
    assert {outcome(methods[name], data) for data in SOUND[name]} == {"OK"}
    outcomes = [outcome(methods[name], data) for data in damaged(SOUND[name], CASES)]
    assert set(outcomes) <= {"OK", *REFUSED}
    assert len(set(outcomes)) > 1
    assert "Traceback" not in caplog.text


def test_methods_that_take_nothing_take_anything_that_is_a_message(methods):
    assert len(methods) > len(SOUND)
    for name in methods.keys() - SOUND.keys():
        for data in (b"", b"\x0a\x01x", b"\xff"):
            assert outcome(methods[name], data) in {"OK", *REFUSED}


@pytest.fixture(scope="module")
def app(ruled_releases):
    return make_app(ruled_releases)


def posted(app, body):
    """Status and JSON of a body that comes in two pieces."""
    pieces = [{"body": body[:20], "more_body": True}, {"body": body[20:], "more_body": False}]
    sent = []

    async def receive():
        return {"type": "http.request", **pieces.pop(0)}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/recommender/recommend/4",
        "query_string": b"k=3",
        "headers": [],
    }
    asked = app(scope, receive, send)
    with pytest.raises(StopIteration):
        asked.send(None)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_damaged_bodies(app, caplog):
    assert posted(app, BODY)[0] == 200
    found = [posted(app, data) for data in damaged([BODY, BODY.replace(b"1000", b'"a"')], CASES)]
    assert {status for status, _ in found} == {200, 400}
    assert all(answer["success"] or answer["detail"] for _, answer in found)
    assert "Traceback" not in caplog.text


KEYS = st.sampled_from(["col", "eq", "in", "lt", "between", "null", "and", "not", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
CONDITION = st.recursive(
    st.fixed_dictionaries(
        {"col": st.sampled_from(["price", "genre", "\ud800"])},
        optional={"eq": JSON, "in": st.lists(JSON, max_size=3), "le": st.integers() | st.floats()},
    ),
    lambda inner: st.fixed_dictionaries({"not": inner}) | st.fixed_dictionaries({"or": st.lists(inner, max_size=3)}),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "allow": JSON | st.lists(st.integers(), max_size=3),
            "deny": JSON | st.lists(st.integers(1000, 1100), max_size=3),
            "seen": JSON,
            "where": JSON | CONDITION,
        },
    )
)
def test_any_filter(app, methods, given):
    """The same on HTTP and, as far as it can be sent, on gRPC: answered or refused, never a failure."""
    status, answer = posted(app, json.dumps({"filter": given}).encode())
    assert status in (200, 400), answer
    lists = {name: sendable(given[name]) for name in ("allow", "deny", "seen") if name in given}
    asked = v1.RecommendRequest(
        users=v1.Ids(int64=v1.Int64s(values=[4])),
        k=3,
        filter=v1.Filter(where=json.dumps(given["where"]) if "where" in given else None, **lists),
    )
    assert outcome(methods["/friesian.v1.Recommender/Recommend"], asked.SerializeToString()) in {"OK", *REFUSED}


def sendable(ids):
    """As a message, where one can hold them; those of the other type are refused."""
    for message in (lambda: v1.Ids(int64=v1.Int64s(values=ids)), lambda: v1.Ids(string=v1.Strings(values=ids))):
        with contextlib.suppress(TypeError, ValueError):
            return message()
    return None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_path_and_query(app, data):
    """The application as uvicorn calls it: a decoded path, raw bytes of the query."""
    path = data.draw(
        st.one_of(st.text(max_size=30), st.builds("/recommender/recommend/{}".format, st.text(max_size=30)))
    )
    query = data.draw(st.one_of(st.binary(max_size=60), st.from_regex(rb"k=.*&canK=.*", fullmatch=True)))
    headers = [(b"x-request-id", data.draw(st.binary(max_size=20)))]
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": headers}
    asked = app(scope, None, send)
    with pytest.raises(StopIteration):
        asked.send(None)
    start, body = sent
    assert start["status"] in (200, 400, 404, 503)
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(body["body"])
    if dict(start["headers"])[b"content-type"] == b"application/json":
        json.loads(body["body"])


def exchange(port, data):
    """All that comes back on a connection of its own, which is ended after the request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:  # refused before all was written
            pass
    return answer


def test_damaged_heads_over_http(fused):
    port = fused.ports["release", "HTTP"]
    assert exchange(port, HEAD).startswith(b"HTTP/1.1 200 OK\r\n")
    with_body = HEAD.replace(b"GET", b"POST")[:-2] + b"content-length: 2\r\n\r\n{}"
    assert exchange(port, with_body).startswith(b"HTTP/1.1 200 OK\r\n")
    answers = [exchange(port, data) for data in damaged([HEAD, HEAD.replace(b"GET", b"POST"), with_body], 250)]
    statuses = {answer[9:12] for answer in answers if answer}
    assert statuses <= {b"200", b"400", b"404", b"405"}
    assert {b"200", b"400", b"404"} <= statuses
    assert httpx.get(f"{fused.http()}/healthz").text == "ok\n"
    assert "Traceback" not in fused.log.read_text()


def test_responses_stand_in_order_and_whole(fused):
    """Three requests in one write; HEAD has no body; a body that nobody reads does not become the next request."""
    port = fused.ports["release", "HTTP"]
    one = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    post = b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    last = b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    for _ in range(50):  # that the client has ended its side is now seen before the last answer, now after it
        answer = exchange(port, one + post + one + last)
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"405", b"200", b"200"]
        assert answer.count(b"ok\n") == 2
        assert answer.endswith(b"\r\n\r\n")


def test_a_request_that_the_client_breaks_off_is_not_waited_for(fused):
    port = fused.ports["release", "HTTP"]
    assert exchange(port, HEAD[:-2]) == b""
    unread = exchange(port, b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc")
    assert unread[9:12] in {b"405", b""}  # whether the refusal or the end came first


def test_bytes_that_are_no_message_over_grpc(fused):
    with grpc.insecure_channel(fused.grpc()) as channel:
        for name in ("/friesian.v1.Recommender/Recommend", "/recommender.Recommender/getRecommendIDs"):
            call = channel.unary_unary(name)
            with pytest.raises(grpc.RpcError) as caught:
                call(b"\xff\xff", timeout=20)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details() == "the 2 bytes of the request are not the message of this call"
            assert call(SOUND[name][0], timeout=20)


def test_half_a_character_in_a_filter_over_grpc(fused):
    """It would be no text as the status' details, and then the status would be another."""
    users = v1.Ids(int64=v1.Int64s(values=[user_id(3)]))
    asked = v1.RecommendRequest(users=users, filter=v1.Filter(where='{"col": "\\ud800", "is": 1}'))
    with grpc.insecure_channel(fused.grpc()) as channel, pytest.raises(grpc.RpcError) as caught:
        v1_grpc.RecommenderStub(channel).Recommend(asked, timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("filter.where must compare '?' by exactly one of eq, ne")


def test_what_is_quoted_is_bounded_and_on_one_line(methods, caplog):
    users = v1.Ids(int64=v1.Int64s(values=[user_id(3)]))
    asked = v1.RecommendRequest(users=users, release_id="a\n2026 INFO forged" + "x" * 100_000)
    with pytest.raises(AbortedError) as caught:
        methods["/friesian.v1.Recommender/Recommend"].unary_unary(asked.SerializeToString(), Caller())
    assert caught.value.args[1].startswith("the call is for release a?2026 INFO forged")
    assert len(caught.value.args[1]) == 1000
    assert "\n2026" not in caplog.text


@pytest.mark.parametrize("shape", [(0, 2**62), (2**31, 0, 2**33), (0,) * 70, (2**40, 2**40), (-1,), ()])
def test_shapes_that_no_array_has(methods, shape):
    tensor = v1.Tensor(name="price", dtype="float32", shape=shape)
    asked = v1.PredictRequest(inputs=[tensor])
    assert outcome(methods["/friesian.v1.Ranking/Predict"], asked.SerializeToString()) == "INVALID_ARGUMENT"
