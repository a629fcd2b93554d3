"""An HTTP server in a thread that answers by a script, for tests of the load client."""

import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler

ANSWER = b'{"ids": [1], "probs": [0.5], "success": true, "errorCode": null, "errorMsg": null}'


class StandIn(socketserver.ThreadingTCPServer):
    """`answer(number)` gives status and body of the request of that number, from 0.

    From `stall_at` seconds after the first request on, nothing is answered for `stall_s` seconds, as by a process that
    stands still.
    """

    allow_reuse_address = daemon_threads = True
    request_queue_size = 1000

    def __init__(self, answer=lambda number: (200, ANSWER), stall_at=float("inf"), stall_s=0.0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.stall_at, self.stall_s = answer, stall_at, stall_s
        self.lock, self.count, self.first = threading.Lock(), 0, None
        self.target = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def number(self):
        with self.lock:
            self.first = self.first or time.monotonic()
            self.count += 1
            return self.count - 1

    def stand_still(self):
        left = self.first + self.stall_at + self.stall_s - time.monotonic()
        if 0 < left < self.stall_s:
            time.sleep(left)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        number = self.server.number()
        self.server.stand_still()
        status, body = self.server.answer(number)
        head = f"HTTP/1.1 {status} -\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_):
        """Say nothing."""
