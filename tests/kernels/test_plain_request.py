"""Requests that need no parser."""

import pytest
from tests.services.fuzz import damaged

from friesian_fast._core import plain_request

HOST = b"host: x\r\n"


def request(target=b"4?k=3&canK=50", headers=HOST, method=b"GET", version=b"HTTP/1.1"):
    return b"%b /recommender/recommend/%b %b\r\n%b\r\n" % (method, target, version, headers)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (b"4?k=3&canK=50", ("4", 3, 50)),
        (b"4?k=3", ("4", 3, None)),
        (b"a_B-9?k=0&canK=999", ("a_B-9", 0, 999)),
        (b"7?k=010", ("7", 10, None)),
        (b"%b?k=1" % (b"x" * 64), ("x" * 64, 1, None)),
    ],
)
def test_what_is_asked(target, wanted):
    assert plain_request(request(target), False) == wanted


@pytest.mark.parametrize(
    ("user", "wanted"),
    [(b"4", 4), (b"007", 7), (b"9" * 18, 10**18 - 1), (b"9" * 19, None), (b"-4", None), (b"x", None)],
)
def test_ids_that_are_numbers(user, wanted):
    found = plain_request(request(user + b"?k=3"), True)
    assert found == (None if wanted is None else (wanted, 3, None))


@pytest.mark.parametrize(
    "target",
    [
        b"?k=3",
        b"%b?k=1" % (b"x" * 65),
        b"4",
        b"4?k=",
        b"4?k=1000",
        b"4?k=-1",
        b"4?k=3&canK=",
        b"4?k=3&canK=1000",
        b"4?k=3&explain=true",
        b"4?canK=50&k=3",
        b"%34?k=3",
        b"4/5?k=3",
        "é?k=3".encode(),
    ],
)
def test_other_targets_are_not_plain(target):
    assert plain_request(request(target), False) is None


@pytest.mark.parametrize("count", [0, 1, 31, 32])
def test_headers_that_tell_nothing(count):
    assert plain_request(request(headers=b"X-9: ~ :\r\n" * count), False) == ("4", 3, 50)


@pytest.mark.parametrize(
    "headers",
    [
        b"x: 1\r\n" * 33,
        b"x 1\r\n",
        b": 1\r\n",
        b"x : 1\r\n",
        b"x: 1\n",
        b"x: 1\r",
        b"x: \t\r\n",
        b"x: \x7f\r\n",
        b" x: folded\r\n",
        b"connection: close\r\n",
        b"CONTENT-LENGTH: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"expect: 100-continue\r\n",
        b"upgrade: h2c\r\n",
        b"X-Request-ID: mine\r\n",
    ],
)
def test_other_headers_are_not_plain(headers):
    assert plain_request(request(headers=HOST + headers), False) is None


def test_names_that_only_begin_like_one_that_tells():
    assert plain_request(request(headers=b"connections: 1\r\nexpec: 2\r\n"), False) == ("4", 3, 50)


def test_one_whole_request_and_nothing_else():
    whole = request()
    assert plain_request(request(method=b"POST"), False) is None
    assert plain_request(request(version=b"HTTP/1.0"), False) is None
    for end in range(len(whole)):
        assert plain_request(whole[:end], False) is None
    for more in (b"x", b"\r\n", whole):
        assert plain_request(whole + more, False) is None
    with pytest.raises(TypeError):
        plain_request(whole.decode(), False)


def test_damage_ends_no_process():
    for data in damaged([request()], 2000):
        plain_request(data, False)
