import re
import urllib.request

import grpc
import pytest
from tests.services.processes import free_port

from friesian_fast import errors
from friesian_fast.recommend import TooFewCandidatesError
from friesian_services import call
from friesian_services.errors import STATUS, DeadlineError, PreconditionError, UnsupportedError, error_of, status_of
from friesian_services.interceptor import CallInterceptor
from friesian_services.metrics import Exporter

OWN_ID = re.compile("[0-9a-f]{16}-[0-9]+")


class AbortedError(Exception):
    """What gRPC's abort raises, with what it was given."""


class Context:
    """A servicer's context, as far as the interceptor uses it."""

    def __init__(self, remaining=None, active=True, metadata=()):
        self._remaining, self._code, self._active, self._metadata = remaining, None, active, dict(metadata)

    def sent(self, name):
        return self._metadata.get(name)

    def is_active(self):
        return self._active

    def time_remaining(self):
        return self._remaining

    def code(self):
        return self._code

    def abort(self, code, details):
        self._code = code
        raise AbortedError(code, details)


PATH = "/recall.Recall/searchCandidates"


def run(behaviour, context=None, exporter=None):
    """Answer one call through the interceptor."""
    handler = grpc.unary_unary_rpc_method_handler(behaviour, bytes.decode)
    wrapped = CallInterceptor(exporter).wrapped(handler, PATH)
    return wrapped.unary_unary(b"request", context or Context())


def fail(error):
    def behaviour(request, context):
        raise error

    return behaviour


@pytest.mark.parametrize(
    ("error", "code", "http"),
    [
        (errors.InvalidInputError("x"), "INVALID_ARGUMENT", 400),
        (errors.ConfigError("x"), "INVALID_ARGUMENT", 400),
        (errors.NotFoundError("x"), "NOT_FOUND", 404),
        (errors.ReleaseError("x"), "FAILED_PRECONDITION", 500),
        (errors.ReleaseMismatchError("x"), "FAILED_PRECONDITION", 500),
        (errors.SchemaMismatchError("x"), "FAILED_PRECONDITION", 500),
        (errors.UnavailableError("x"), "UNAVAILABLE", 503),
        (errors.MissingExtraError("x", "y"), "UNIMPLEMENTED", 501),
        (errors.FriesianError("x"), "INTERNAL", 500),
        (TooFewCandidatesError("x"), "FAILED_PRECONDITION", 400),
        (PreconditionError("x"), "FAILED_PRECONDITION", 400),
        (UnsupportedError("x"), "UNIMPLEMENTED", 501),
        (DeadlineError("x"), "DEADLINE_EXCEEDED", 504),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_has_its_status(error, code, http):
    assert status_of(error).http == http
    with pytest.raises(AbortedError) as caught:
        run(fail(error))
    assert caught.value.args == (grpc.StatusCode[code], str(error))


def test_no_row_of_the_table_hides_another():
    kinds = [kind for kind, _ in STATUS]
    for n, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:n]), kind


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_the_way_back_keeps_the_status(code):
    again = status_of(error_of(code, "x")).code
    known = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "FAILED_PRECONDITION", "NOT_FOUND", "INVALID_ARGUMENT"}
    assert again.name == (
        code.name if code.name in known else "UNAVAILABLE" if code.name == "CANCELLED" else "INTERNAL"
    )


def test_a_defect_is_internal_and_logged_but_not_told(caplog):
    with pytest.raises(AbortedError) as caught:
        run(fail(ZeroDivisionError("inner secret")), Context(metadata=(("x-request-id", "call-7"),)))
    code, details = caught.value.args
    assert code is grpc.StatusCode.INTERNAL
    assert "inner secret" not in details
    assert "call-7" in details
    assert "inner secret" in caplog.text


def test_a_call_whose_time_is_up_is_not_begun():
    with pytest.raises(AbortedError) as caught:
        run(fail(AssertionError("begun")), Context(remaining=0))
    assert caught.value.args[0] is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_call_whose_caller_has_gone_is_not_begun():
    with pytest.raises(AbortedError, match="the caller has gone"):
        run(fail(AssertionError("begun")), Context(active=False))


def test_details_fit_into_a_clients_headers():
    with pytest.raises(AbortedError) as caught:
        run(fail(errors.InvalidInputError("x" * 100_000)))
    assert len(caught.value.args[1]) == 1000


def test_deadline_and_id_are_at_hand():
    seen = []

    def behaviour(request, context):
        seen.append((call.request_id.get(), call.remaining()))
        return "answer"

    assert run(behaviour, Context(remaining=5, metadata=(("x-request-id", "abc"),))) == "answer"
    assert run(behaviour) == "answer"
    (first, left), (second, none) = seen
    assert first == "abc"
    assert 0 < left <= 5
    assert OWN_ID.fullmatch(second)
    assert none is None


@pytest.mark.parametrize("bad", ["", "é", "a b", "x" * 129, "a\nb"])
def test_ids_that_cannot_be_handed_on_are_replaced(bad):
    call.begin(None, bad)
    assert call.request_id.get() != bad
    assert OWN_ID.fullmatch(call.request_id.get())


def test_every_call_without_an_id_gets_one_of_its_own():
    made = set()
    for _ in range(100):
        call.begin(None, None)
        made.add(call.request_id.get())
    assert len(made) == 100


def test_streams_pass():
    handler = grpc.unary_stream_rpc_method_handler(lambda request, context: iter(()))
    assert CallInterceptor().wrapped(handler, PATH) is handler


def test_calls_are_counted_with_their_codes():
    port = free_port()
    exporter = Exporter("127.0.0.1", port)
    try:
        run(lambda request, context: "answer", exporter=exporter)
        with pytest.raises(AbortedError):
            run(fail(errors.NotFoundError("x")), exporter=exporter)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        exporter.close()
    labels = 'grpc_method="searchCandidates",grpc_service="recall.Recall",grpc_type="UNARY"'
    assert f"grpc_server_started_total{{{labels}}} 2.0" in text
    for code in ("OK", "NOT_FOUND"):
        assert f'grpc_server_handled_total{{grpc_code="{code}",{labels}}} 1.0' in text
