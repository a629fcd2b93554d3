"""Bodies of requests over real sockets: offers of other protocols, bodies that nobody reads, leave to send them."""

import json
import re
import shutil
import socket
import subprocess

import pytest
from tests.services.test_http_app import make_app
from tests.services.tiny_release import user_id

from friesian_services.http.server import HttpServer

BODY = b'{"filter": {"allow": [1000, 1007, 1014], "deny": [1007]}}'
TARGET = b"/recommender/recommend/%d?k=3" % user_id(4)
PLAIN = b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % TARGET
# What java.net.http.HttpClient sends unless it is told to use HTTP/1.1.
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA\r\n"
OFFERS = [
    OFFER,
    OFFER.lower(),
    b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
    b"Upgrade: a\r\nUpgrade: b\r\nConnection: upgrade\r\nX-Empty:\r\n",
]


@pytest.fixture(scope="module")
def port(releases):
    server = HttpServer("127.0.0.1", 0, make_app(releases))
    server.start()
    yield server.port
    server.stop(1)


def post(headers=b"", body=BODY, target=TARGET, method=b"POST"):
    length = b"content-length: %d\r\n" % len(body)
    return b"%b %b HTTP/1.1\r\nhost: x\r\n%b%b\r\n%b" % (method, target, headers, length, body)


def chunked(headers=b"", body=BODY):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:20], body[20:]))
    head = b"POST %b HTTP/1.1\r\nhost: x\r\n%btransfer-encoding: chunked\r\n\r\n" % (TARGET, headers)
    return head + chunks + b"0\r\n\r\n"


def whole(data):
    return [data]


def at_the_head(data):
    head, end, rest = data.partition(b"\r\n\r\n")
    return [head + end, rest]


def inside_the_body(data):
    return [data[:-9], data[-9:]]


def by_bytes(data):
    return [data[i : i + 1] for i in range(len(data))]


def exchange(port, pieces):
    """All that comes back on a connection of its own, which is ended after the last piece."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return rest(client)


def rest(client):
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def answers(data):
    """Status and ids of each response, in order; every byte belongs to one."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        body, data = data[:length], data[length:]
        assert len(body) == length
        found.append((int(head[9:12]), json.loads(body).get("ids") if b"json" in head else body))
    return found


@pytest.fixture(scope="module")
def wanted(port):
    """Of the requests without an offer: with the filter, and without one."""
    filtered, plain = answers(exchange(port, [post() + PLAIN]))
    assert filtered[0] == plain[0] == 200
    assert set(filtered[1]) == {1000, 1014}
    assert len(plain[1]) == 3
    return filtered, plain


@pytest.mark.parametrize("cut", [whole, at_the_head, inside_the_body, by_bytes])
@pytest.mark.parametrize("made", [post, chunked])
@pytest.mark.parametrize("offer", OFFERS, ids=range(len(OFFERS)))
def test_what_offers_another_protocol_is_an_ordinary_request(port, wanted, offer, made, cut):
    assert answers(exchange(port, cut(made(offer)))) == [wanted[0]]


@pytest.mark.parametrize("cut", [whole, by_bytes])
def test_requests_behind_an_offer_are_answered_in_order(port, wanted, cut):
    filtered, plain = wanted
    get = PLAIN[:-2] + OFFER + b"\r\n"
    data = post(OFFER) + PLAIN + chunked(OFFER) + get + post() + PLAIN
    assert answers(exchange(port, cut(data))) == [filtered, plain, filtered, plain, filtered, plain]


def test_many_offers_in_one_piece(port, wanted):
    """More than a stack has room for."""
    data = (PLAIN[:-2] + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n") * 2000
    assert answers(exchange(port, [data])) == [wanted[1]] * 2000


@pytest.mark.parametrize("cut", [whole, at_the_head, by_bytes])
@pytest.mark.parametrize("made", [post, chunked])
def test_a_body_behind_an_offer_is_no_request(port, wanted, made, cut):
    (refused, last) = answers(exchange(port, [*cut(made(OFFER, body=PLAIN + PLAIN)), PLAIN]))
    assert refused == (400, None)
    assert last == wanted[1]


def test_leave_to_send_is_given_behind_an_offer(port, wanted):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(post(OFFER + b"Expect: 100-continue\r\n")[: -len(BODY)])
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY + PLAIN)
        client.shutdown(socket.SHUT_WR)
        assert answers(rest(client)) == list(wanted)


def test_a_trailer_offers_nothing(port, wanted):
    data = chunked()[:-2] + OFFER + b"\r\n" + PLAIN
    assert answers(exchange(port, [data])) == list(wanted)


@pytest.mark.parametrize("cut", [whole, at_the_head])
def test_there_is_no_tunnel(port, cut):
    """What a client sends into one is no request."""
    found = answers(exchange(port, cut(b"CONNECT /healthz HTTP/1.1\r\nhost: x\r\n\r\n" + PLAIN)))
    assert [status for status, _ in found] == [400]


def ended(port, *pieces):
    """What comes back until the server ends its side, although the client does not end its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        for piece in pieces:
            client.sendall(piece)
        return rest(client)


@pytest.mark.parametrize(
    ("method", "target", "status"), [(b"GET", TARGET, 200), (b"POST", b"/healthz", 405), (b"PUT", TARGET, 405)]
)
def test_leave_to_send_what_nobody_reads_ends_the_connection(port, method, target, status):
    """The client may never send the body: what comes next would be taken for it."""
    head = post(b"Expect: 100-continue\r\n", PLAIN, target, method)[: -len(PLAIN)]
    data = ended(port, head, PLAIN)
    assert data.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close\r\n" in data
    assert [one[0] for one in answers(data)] == [status]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [(b"GET", TARGET, 200), (b"POST", TARGET, 413), (b"POST", b"/healthz", 405), (b"PUT", TARGET, 405)],
)
@pytest.mark.parametrize("size", [(1 << 20) + 1, 1 << 40])
def test_a_long_body_is_not_waited_for(port, method, target, status, size):
    """It is known from the head, so that a client that waits for leave to send does not send in vain."""
    length = b"content-length: %d" % size
    head = post(b"Expect: 100-continue\r\n", b"", target, method).replace(b"content-length: 0", length)
    for pieces in ([head], [head.replace(b"Expect: 100-continue\r\n", b""), b" " * (300 << 10), PLAIN]):
        data = ended(port, *pieces)
        assert b"connection: close\r\n" in data
        assert [one[0] for one in answers(data)] == [status]


@pytest.mark.parametrize(("method", "target", "status"), [(b"GET", TARGET, 200), (b"POST", b"/healthz", 405)])
def test_a_body_without_a_length_that_nobody_reads(port, method, target, status):
    data = chunked().replace(b"POST " + TARGET, method + b" " + target)
    data = ended(port, data[:-5])
    assert b"connection: close\r\n" in data
    assert [one[0] for one in answers(data)] == [status]


def test_a_short_body_that_nobody_reads_is_passed_over(port, wanted):
    data = post(body=PLAIN, method=b"GET") + post(body=PLAIN, method=b"PUT") + PLAIN
    got, refused, last = answers(exchange(port, by_bytes(data)))
    assert (got, refused[0], last) == (wanted[1], 405, wanted[1])


def test_what_is_sent_behind_the_last_answer_is_taken(port):
    """For a moment: a connection that is closed with something unread is reset, and the answer may be lost with it."""
    head = post(body=b"").replace(b"content-length: 0", b"content-length: %d" % (1 << 40))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
        assert client.recv(65536) == b""
        client.sendall(b" " * 1000)
        client.sendall(PLAIN)  # would fail, had the first been answered by a reset
        with pytest.raises(ConnectionError):
            send_forever(client)


def send_forever(client):
    while True:
        client.sendall(b" " * 65536)


JAVA = """
import java.net.URI;
import java.net.http.*;

public class Ask {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        for (int turn = 0; turn < 3; turn++) {
            var body = HttpRequest.BodyPublishers.ofString(arguments[1]);
            var request = HttpRequest.newBuilder(URI.create(arguments[0])).POST(body).build();
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body());
        }
    }
}
"""


@pytest.mark.skipif(shutil.which("javac") is None, reason="needs a Java compiler")
def test_javas_client(port, wanted, tmp_path):
    (tmp_path / "Ask.java").write_text(JAVA)
    url = f"http://127.0.0.1:{port}{TARGET.decode()}"
    command = ["java", "-XX:TieredStopAtLevel=1", tmp_path / "Ask.java", url, BODY.decode()]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()
    assert len(printed) == 3
    for line in printed:
        status, version, body = line.split(" ", 2)
        assert (int(status), version, json.loads(body)["ids"]) == (200, "HTTP_1_1", wanted[0][1])
