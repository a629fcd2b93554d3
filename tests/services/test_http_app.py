import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from tests.services.tiny_release import UNKNOWN_USER, item_id, user_id

from friesian_fast.errors import UnavailableError
from friesian_fast.recall import Filter, col
from friesian_fast.recommend import open_recommender
from friesian_fast.release.open import open_release
from friesian_services.backends import HEADERS, LocalBackends
from friesian_services.http.app import HttpApp
from friesian_services.timers import Timers

SHAPE = ["ids", "probs", "success", "errorCode", "errorMsg"]


def make_app(releases, executor=None, **options):
    timers = Timers()
    recommender = open_recommender(open_release(releases), timers.time)
    return HttpApp(recommender, timers, LocalBackends(timers), executor, **options)


@pytest.fixture(scope="module", params=["in the loop", "in a pool"])
def app(releases, request):
    return make_app(releases, None if request.param == "in the loop" else ThreadPoolExecutor(2))


@pytest.fixture(scope="module")
def ruled_app(ruled_releases):
    return make_app(ruled_releases)


def get(app, path, method="GET", **options):
    async def ask():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(ask())


def test_an_answer_has_the_originals_shape(app):
    answer = get(app, f"/recommender/recommend/{user_id(4)}?k=3&canK=50")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == SHAPE
    assert len(body["ids"]) == len(body["probs"]) == 3
    assert all(type(value) is int for value in body["ids"])
    assert body["probs"] == sorted(body["probs"], reverse=True)
    assert (body["success"], body["errorCode"], body["errorMsg"]) == (True, None, None)


def test_the_answer_is_the_chains(app, releases):
    direct = open_recommender(open_release(releases)).recommend(user_id(4), k=7, candidates=60)
    body = get(app, f"/recommender/recommend/{user_id(4)}?canK=60&k=7").json()
    assert body["ids"] == direct.ids.tolist()
    assert np.array_equal(np.array(body["probs"], np.float32), direct.scores)


def test_ten_by_default(app):
    assert len(get(app, f"/recommender/recommend/{user_id(4)}").json()["ids"]) == 10


def test_an_unknown_user_gets_the_popular_marked(app):
    body = get(app, f"/recommender/recommend/{UNKNOWN_USER}?k=2").json()
    assert list(body) == [*SHAPE, "fallback"]
    assert body["success"] is True
    assert body["ids"] == [item_id(0), item_id(1)]
    assert "user 99999 has no vector" in body["fallback"]


@pytest.mark.parametrize(
    ("path", "status", "code", "named"),
    [
        ("/recommender/recommend/abc", 404, "NOT_FOUND", "id 'abc'"),
        ("/recommender/recommend/", 404, "NOT_FOUND", "id must have"),
        ("/recommender/recommend/1.5", 404, "NOT_FOUND", "id '1.5'"),
        ("/recommender/recommend/9223372036854775808", 404, "NOT_FOUND", "64 bits"),
        ("/recommender/recommend/" + "1" * 1025, 404, "NOT_FOUND", "1024"),
        ("/recommender/recommend/1?k=0", 400, "INVALID_ARGUMENT", "k is 0"),
        ("/recommender/recommend/1?k=-5", 400, "INVALID_ARGUMENT", "k is -5"),
        ("/recommender/recommend/1?k=ten", 400, "INVALID_ARGUMENT", "k is 'ten'"),
        ("/recommender/recommend/1?k=", 400, "INVALID_ARGUMENT", "k is ''"),
        ("/recommender/recommend/1?canK=1e3", 400, "INVALID_ARGUMENT", "canK is '1e3'"),
        ("/recommender/recommend/1?k=20&canK=10", 400, "FAILED_PRECONDITION", "CandidateNum should be larger than"),
        ("/recommender/recommend/1?canK=501", 400, "INVALID_ARGUMENT", "(canK)"),
        ("/recommender/recommend/1?k=" + "9" * 19, 400, "INVALID_ARGUMENT", "k is 99999"),
    ],
)
def test_bad_requests_name_the_parameter(app, path, status, code, named):
    answer = get(app, path)
    assert answer.status_code == status
    body = answer.json()
    assert list(body) == [*SHAPE, "title", "detail"]
    assert (body["ids"], body["probs"], body["success"], body["errorCode"]) == (None, None, False, code)
    assert named in body["errorMsg"] == body["detail"]


def test_the_originals_status_on_request(releases):
    answer = get(make_app(releases, compat_status=True), "/recommender/recommend/1?k=0")
    assert answer.status_code == 200
    assert answer.json()["success"] is False


def test_string_ids(string_releases):
    app = make_app(string_releases)
    body = get(app, f"/recommender/recommend/{user_id(4, True)}?k=3").json()
    assert "fallback" not in body
    assert all(isinstance(value, str) for value in body["ids"])
    assert "fallback" in get(app, "/recommender/recommend/a%2Fb%20%C3%A9?k=1").json()


def ask(app, user, filter, query="k=20&canK=500"):
    return get(app, f"/recommender/recommend/{user}?{query}", "POST", json={"filter": filter})


def test_a_filter_comes_in_the_body(app, ruled_app):
    """The answer is that of the chain; k, canK and explain stay in the query."""
    denied = get(app, f"/recommender/recommend/{user_id(4)}?k=20").json()["ids"][:5]
    body = ask(app, user_id(4), {"deny": denied}, "k=20&canK=50").json()
    assert len(body["ids"]) == 20
    assert not set(denied) & set(body["ids"])
    asked = {"where": {"col": "price", "lt": 0.1}, "allow": [item_id(n) for n in range(0, 500, 3)], "seen": []}
    wanted = ruled_app._recommender.recommend(
        user_id(4), k=20, candidates=500, filter=Filter(where=col("price") < 0.1, allow=asked["allow"])
    )
    answer = ask(ruled_app, user_id(4), asked, "k=20&canK=500&explain=true").json()
    assert answer["ids"] == wanted.ids.tolist()
    assert 5 < len(answer["ids"]) < 20
    assert all(one["features"]["price"] < 0.1 for one in answer["explanation"]["candidates"])
    stranger = ask(ruled_app, UNKNOWN_USER, asked).json()
    assert stranger["fallback"]
    assert set(stranger["ids"]) <= set(asked["allow"])


@pytest.mark.parametrize("body", [b"{}", b'{"filter": null}', b'{"filter": {}}', b'{"filter": {"allow": null}}'])
def test_a_filter_may_be_left_out(app, body):
    path = f"/recommender/recommend/{user_id(4)}?k=5"
    assert get(app, path, "POST", content=body).json() == get(app, path).json()


def test_string_ids_in_a_filter(string_releases):
    """All items are candidates: fewer would be others where some are denied."""
    app = make_app(string_releases)
    path = f"/recommender/recommend/{user_id(4, True)}?k=9&canK=500"
    shown = get(app, path).json()["ids"]
    body = json.dumps({"filter": {"deny": shown[:4], "seen": ["unknown", "\U0001f600"]}})
    wanted = app._recommender.recommend(user_id(4, True), k=9, candidates=500, filter=Filter(deny=shown[:4])).ids
    assert get(app, path, "POST", content=body).json()["ids"] == wanted
    assert not set(shown[:4]) & set(wanted)
    for name in ("allow", "deny", "seen"):
        answer = get(app, path, "POST", content=json.dumps({"filter": {name: ["a", "\ud800"]}}))
        assert (answer.status_code, f"filter.{name} holds half of a surrogate pair" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, 'the body is not valid JSON .* send for example {"filter"'),
        (b"\xff", 400, "the body is not valid JSON"),
        (b"[" * 100_000, 400, "the body is not valid JSON"),
        (b"[]", 400, "the body must be a JSON object"),
        (b'{"deny": [1]}', 400, "the body has the unknown key 'deny'; it may have filter"),
        (b'{"filter": [1]}', 400, "filter must be a JSON object"),
        (
            b'{"filter": {"denied": [1]}}',
            400,
            "filter has the unknown key 'denied'; it may have allow, deny",
        ),
        (b'{"filter": {"deny": 1}}', 400, "filter.deny must be a list of item ids"),
        (b'{"filter": {"deny": ["1"]}}', 400, "filter.deny: id '1' is not of type int64"),
        (b'{"filter": {"seen": [true]}}', 400, "filter.seen: id True is not of type int64"),
        (b'{"filter": {"allow": [9223372036854775808]}}', 400, "filter.allow: .* 64 bits"),
        (b'{"filter": {"allow": [[]]}}', 400, "filter.allow: "),
        (b'{"filter": {"deny": [%b1]}}' % (b"1," * 10_000), 400, "filter.deny has 10001 ids; send at most 10000"),
        (b'{"filter": {"where": "price < 1"}}', 400, "filter.where must be a JSON object such as"),
        (b'{"filter": {"where": {"col": "price", "lt": NaN}}}', 400, "not valid JSON .NaN is no number"),
        (b'{"filter": {"where": {"col": "price", "lt": -Infinity}}}', 400, "-Infinity is no number"),
        (b'{"filter": {"where": {"col": "price", "lt": 1e999}}}', 400, "filter.where .* no float can hold"),
        (b'{"filter": {"where": {"col": "price", "lt": %b}}}' % (b"9" * 400), 400, "no float can hold"),
        (b'{"filter": {"where": {"col": "\\ud800", "lt": 1}}}', 400, "filter.where holds half of a surrogate"),
        (b'{"filter": {"deny": [1]}, "filter": {}}', 400, "the key 'filter' is there twice in one object"),
        (b'{"filter": {"deny": [1], "seen": [2], "deny": []}}', 400, "the key 'deny' is there twice in one object"),
        (b'{"filter": {"where": {"col": "price", "lt": 1, "lt": 2}}}', 400, "the key 'lt' is there twice"),
        (b'{"filter": {"where": {"not": {"%b": [], "%b": []}}}}' % ((b"a" * 9000,) * 2), 400, r"key 'a{100}'\.{3} is"),
        (b'{"filter": {"deny": [%b"x"]}}' % (b"1," * 10_000), 400, "filter.deny has 10001 ids; send at most 10000"),
        (
            b'{"filter": {"where": {"col": "genre", "in": [%b1]}}}' % (b"1," * 40_000),
            400,
            "filter.where has 80024 characters",
        ),
        (b'{"filter": {"where": %b{}%b}}' % (b'{"not": ' * 40, b"}" * 40), 400, "nested more than 32 deep"),
        (b'{"filter": {"where": %b}}' % (b'{"not": ' * 900 + b"1" + b"}" * 900), 400, "nested more than 32 deep"),
        (b'{"filter": {"where": {"or": [%b{}]}}}' % (b'{"and": []},' * 300), 400, "more than 256 conditions"),
        (b'{"filter": {"deny": [%b1]}}' % (b" " * (1 << 20)), 413, "the body has more than 1048576 bytes"),
    ],
    ids=range(29),
)
def test_bad_bodies_name_the_field(ruled_app, body, status, named):
    answer = get(ruled_app, f"/recommender/recommend/{user_id(4)}", "POST", content=body)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == [*SHAPE, "title", "detail"]
    assert answer.json()["errorCode"] == "INVALID_ARGUMENT"
    assert re.search(named, answer.json()["detail"], re.DOTALL), answer.json()["detail"]
    assert len(answer.content) < 5000


def test_a_condition_is_as_long_here_as_on_the_wire(ruled_app):
    """Whichever way its text is written: escapes and spaces do not count."""
    path = f"/recommender/recommend/{user_id(4)}"

    def sent(count, **options):
        where = {"or": [{"col": "price", "ge": 0}, {"not": {"col": "price", "in": [0.5] * count}}]}
        return get(ruled_app, path, "POST", content=json.dumps({"filter": {"where": where}}, **options))

    assert sent(16_000).status_code == 200  # of 80,000 characters with spaces
    assert sent(17_000).status_code == 400
    assert sent(16_000, indent=8).status_code == 200
    column = "\u00e9" * 30_000
    assert "no column" in ask(ruled_app, user_id(4), {"where": {"col": column, "lt": 1}}).json()["detail"]


def test_greeting_and_health(app):
    greeting = get(app, "/recommender")
    assert greeting.status_code == 200
    assert greeting.headers["content-type"].startswith("text/plain")
    assert get(app, "/healthz").status_code == 200
    assert get(app, "/readyz").status_code == 503
    app.ready = True
    assert get(app, "/readyz").status_code == 200


def test_metrics(app):
    get(app, "/recommender/recommend/1")
    names = {timer["name"] for timer in get(app, "/recommender/metrics").json()}
    assert {"recommend.overall", "recommend.recall", "recommend.feature.user", "recommend.feature.item"} <= names
    assert {"recommend.preprocess", "recommend.rankingInference", "recommend.topK"} <= names
    text = get(app, "/recommender/clientMetrics").text
    positions = [text.index(header) for header in HEADERS.values()]
    assert positions == sorted(positions)
    assert "indexing.faiss" in text
    assert get(app, "/recommender/resetMetrics").json() == {"success": True}
    assert get(app, "/recommender/metrics").json() == []


def test_other_paths_and_methods(app):
    missing = get(app, "/nothing")
    assert (missing.status_code, "/nothing" in missing.json()["detail"]) == (404, True)
    for method, path, offered in (
        ("POST", "/recommender", "GET, HEAD"),
        ("PUT", "/recommender/recommend/1", "GET, HEAD, POST"),
    ):
        refused = get(app, path, method)
        assert (refused.status_code, refused.headers["allow"]) == (405, offered)
    head = get(app, "/recommender/recommend/1", "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


def test_a_calls_id_comes_back(app):
    assert get(app, "/recommender", headers={"x-request-id": "abc"}).headers["x-request-id"] == "abc"
    first, second = (get(app, "/recommender").headers["x-request-id"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{16}-[0-9]+", first)
    assert first != second


def test_a_defect_is_a_500_without_its_text(releases, monkeypatch, caplog):
    app = make_app(releases)

    def broken(*_, **__):
        raise ZeroDivisionError("inner secret")

    monkeypatch.setattr(app._recommender, "recommend", broken)
    answer = get(app, "/recommender/recommend/1", headers={"x-request-id": "call-7"})
    assert answer.status_code == 500
    assert "inner secret" not in answer.text
    assert "call-7" in answer.json()["detail"]
    assert "inner secret" in caplog.text


def test_back_ends_that_are_down(releases):
    class Down:
        def metrics(self):
            raise UnavailableError("recall service at x:1: down")

    timers = Timers()
    app = HttpApp(open_recommender(open_release(releases)), timers, Down(), ThreadPoolExecutor(1))
    answer = get(app, "/recommender/clientMetrics")
    assert answer.status_code == 503
    assert json.loads(answer.text)["errorCode"] == "UNAVAILABLE"


def test_an_answer_can_be_explained(app, releases):
    body = get(app, f"/recommender/recommend/{user_id(4)}?k=3&canK=20&explain=true").json()
    explained = body["explanation"]
    assert body["ids"] == get(app, f"/recommender/recommend/{user_id(4)}?k=3&canK=20").json()["ids"]
    assert len(explained["candidates"]) == 20
    best = sorted(explained["candidates"], key=lambda candidate: -candidate["score"])[:3]
    assert [candidate["id"] for candidate in best] == body["ids"]
    assert set(best[0]["features"]) == {"user_age", "price", "tags", "spend", "genre"}
    assert len(best[0]["features"]["tags"]) == 3
    assert {"recommend.recall", "recommend.feature.item", "recommend.rankingInference"} <= set(explained["seconds"])
    assert explained["rules"] == []


def test_explain_is_true_or_false(app):
    answer = get(app, f"/recommender/recommend/{user_id(4)}?explain=yes")
    assert answer.status_code == 400
    assert "explain is 'yes'; it must be true or false" in answer.json()["detail"]
    assert "explanation" not in get(app, f"/recommender/recommend/{user_id(4)}?explain=false").json()
