"""Start the workers of a training, wait for them, and say which of them failed: on this machine, or as Spark tasks."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from friesian_fast import errors
from friesian_fast.errors import FriesianError, InvalidInputError, MissingExtraError, WorkerError, WorkerLostError
from friesian_fast.train.checkpoint import read_state
from friesian_fast.train.comm import TIMEOUT_S
from friesian_fast.train.events import LateTeller, Mailbox, listening, send_file
from friesian_fast.train.job import Done, Event, Work
from friesian_fast.train.pulse import Overdue, PulseSeen
from friesian_fast.train.worker import Order, order_text, pulse_of

_GRACE_S = 10  # for the others to say what they saw, after one failed
# Of a worker. Longer than its peers wait for it, so that they are not blamed.
_SILENCE_S = TIMEOUT_S + 30
# Spark's words for a process or a machine that is gone.
_LOSS = re.compile(
    r"ExecutorLostFailure|Python worker exited unexpectedly|SocketException|heartbeat|barrier sync|decommission"
)
_CHUNK = 64 << 20
_LOG_LINES = 12

OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one worker ended: what it wrote, or how it died; `stopped` if it was killed here, after another failed.

    `state` is the file with rank 0's weights.
    """

    rank: int
    result: dict[str, Any] | None
    code: int
    log: str
    state: Path | None
    stopped: bool = False


def run_here(work: Work, workers: int, cores: int, on_event: OnEvent) -> Done:
    """Run a work in so many processes on this machine."""
    with _working_directory() as directory:
        stop = threading.Event()
        with listening("127.0.0.1", on_event, stop.set) as mailbox:
            _write_work(directory, pickled((work, mailbox)))
            orders = [
                Order(rank=rank, world=workers, meet=f"file://{directory}/meet", cores=cores) for rank in range(workers)
            ]
            outcomes = _wait(directory, orders, mailbox, stop)
        return _gathered(outcomes, workers)


def run_on_spark(session: Any, work: Work, workers: int, cores: int, on_event: OnEvent) -> Done:
    """Run a work in so many tasks of one barrier stage, each of which starts a process of its own."""
    context = session.sparkContext
    if context.master.startswith("local") and context.defaultParallelism < workers:
        raise InvalidInputError(
            f"{workers} workers need {workers} task slots at a time and Spark's master {context.master} has "
            f"{context.defaultParallelism}; use fewer workers, or a session of more"
        )
    host = context.getConf().get("spark.driver.host", "127.0.0.1")
    group = f"friesian-train-{secrets.token_hex(8)}"
    with _working_directory() as directory:
        inbox = directory / "state.safetensors"
        with listening(host, on_event, lambda: context.cancelJobGroup(group), inbox) as mailbox:
            sent = context.broadcast(pickled((work, mailbox)))
            try:
                with _job_group(context, group):
                    stage = context.parallelize(range(workers), workers).barrier()
                    rows = stage.mapPartitions(_SparkTask(sent, mailbox, workers, cores)).collect()
            except Exception as error:  # py4j has one kind for all failures
                raise _of_spark(_text_of(error), workers) from error
            finally:
                sent.destroy()
        return _gathered(_from_rows(rows, inbox), workers)


# Out of reach of a signal that ends a whole group of processes.
_SWEEPER = """trap '' TERM INT HUP; cat > /dev/null; rm -rf -- "$1" || { sleep 2; rm -rf -- "$1"; }"""


@contextmanager
def _working_directory() -> Iterator[Path]:
    """A directory that goes with the block, also if this process is killed: it holds the model."""
    directory = Path(tempfile.mkdtemp(prefix="friesian-train-"))
    with subprocess.Popen(
        ["/bin/sh", "-c", _SWEEPER, "sh", str(directory)],
        stdin=subprocess.PIPE,  # which ends when this process does
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ):
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _job_group(context: Any, group: str) -> Iterator[None]:
    """Let the jobs of the block be cancelled by this name."""
    names = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")
    before = {name: context.getLocalProperty(name) for name in names}
    context.setJobGroup(group, "training", interruptOnCancel=True)
    try:
        yield
    finally:
        for name, value in before.items():
            context.setLocalProperty(name, value)


def pickled(value: Any) -> bytes:
    """For a process of our own, which may run what the caller gave: functions and classes, as Spark sends them."""
    if find_spec("torch") is None:  # told here, not by every worker
        raise MissingExtraError("training on several workers", "torch")
    try:
        import cloudpickle
    except ImportError as error:
        raise MissingExtraError("training on several workers", "train") from error
    sent: bytes = cloudpickle.dumps(value)
    return sent


@dataclass(frozen=True, slots=True)
class _SparkTask:
    """One task of the barrier stage; yields JSON about its worker, and the weights in parts if the caller is out of
    reach."""

    sent: Any
    mailbox: Mailbox
    workers: int
    cores: int

    def __call__(self, partition: Iterable[int]) -> Iterator[tuple[int, str | bytes]]:
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        rank = next(iter(partition))
        host = context.getTaskInfos()[rank].address.rsplit(":", 1)[0]
        meet = context.allGather(f"tcp://{host}:{_free_port()}" if rank == 0 else "")[0]
        with _working_directory() as directory:
            _write_work(directory, self.sent.value)
            order = Order(rank=rank, world=self.workers, meet=meet, cores=self.cores)
            (outcome,) = _wait(directory, [order], self.mailbox)
            state = b""
            if outcome.state is not None and not send_file(self.mailbox, outcome.state):
                state = outcome.state.read_bytes()
        yield rank, json.dumps([outcome.result, outcome.code, outcome.log, outcome.stopped])
        yield from ((rank, state[at : at + _CHUNK]) for at in range(0, len(state), _CHUNK))


def _from_rows(rows: Sequence[tuple[int, str | bytes]], inbox: Path) -> list[Outcome]:
    parts = [part for _, part in rows if isinstance(part, bytes)]
    if parts:
        inbox.write_bytes(b"".join(parts))
    outcomes = []
    for rank, text in rows:
        if isinstance(text, str):
            result, code, log, stopped = json.loads(text)
            state = inbox if rank == 0 and inbox.exists() else None
            outcomes.append(Outcome(rank, result, code, log, state, stopped))
    return outcomes


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _write_work(directory: Path, sent: bytes) -> None:
    (directory / "work").write_bytes(sent)


def _wait(
    directory: Path, orders: Sequence[Order], mailbox: Mailbox, stop: threading.Event | None = None
) -> list[Outcome]:
    """Start the processes and wait for all; after a failure the others have a grace, then they are stopped.

    Who shows no sign of work for too long has failed as well; who does one thing for long is told of. `stop` ends all
    at once.
    """
    running = {order.rank: _start(directory, order) for order in orders}
    pulses = {order.rank: PulseSeen(pulse_of(directory, order.rank)) for order in orders}
    tell, overdue = LateTeller(mailbox), Overdue(orders[0].world)
    codes: dict[int, int] = {}
    stopped = set()
    stop_at = float("inf")
    try:
        while len(codes) < len(orders) and not (stop is not None and stop.is_set()):
            for rank, process in running.items():
                if rank in codes:
                    continue
                if pulses[rank].silence() > _SILENCE_S:
                    stopped.add(rank)
                    process.kill()
                if (code := process.poll()) is not None:
                    codes[rank] = code
                    if not _is_good(directory, rank):
                        stop_at = min(stop_at, time.monotonic() + _GRACE_S)
            doing = {rank: pulses[rank].doing() for rank in running if rank not in codes}
            for event in overdue.events({rank: one for rank, one in doing.items() if one is not None}):
                tell(event)
            if time.monotonic() > stop_at:
                break
            time.sleep(0.02)
    finally:
        for rank, process in running.items():
            if process.poll() is None:
                process.kill()
                stopped.add(rank)
            codes[rank] = process.wait()
            assert process.stdin is not None
            process.stdin.close()
    return [_outcome(directory, rank, codes[rank], stopped=rank in stopped) for rank in running]


def _is_good(directory: Path, rank: int) -> bool:
    """Whether a worker that has ended did its work, however its process came to its end."""
    result = _result(directory, rank)
    return result is not None and "error" not in result


def _result(directory: Path, rank: int) -> dict[str, Any] | None:
    file = directory / f"result-{rank}.json"
    if not file.exists():
        return None
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def _start(directory: Path, order: Order) -> subprocess.Popen[bytes]:
    file = directory / f"order-{order.rank}.json"
    file.write_text(order_text(order), encoding="utf-8")
    pulse_of(directory, order.rank).touch()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "FRIESIAN_RANK": str(order.rank),
        "OMP_NUM_THREADS": str(order.cores),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
    }
    if order.meet.startswith("file:") or "//127.0.0.1:" in order.meet or "//localhost:" in order.meet:
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with (directory / f"log-{order.rank}").open("wb") as log:
        command = [sys.executable, "-m", "friesian_fast.train.worker", str(file)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)


def _outcome(directory: Path, rank: int, code: int, *, stopped: bool) -> Outcome:
    log = (directory / f"log-{rank}").read_text(encoding="utf-8", errors="replace")
    state = directory / "state.safetensors"
    kept = state if rank == 0 and state.exists() else None
    last = "\n".join(log.splitlines()[-_LOG_LINES:])
    return Outcome(rank, _result(directory, rank), code, last, kept, stopped)


def _gathered(outcomes: Sequence[Outcome], workers: int) -> Done:
    """What rank 0 gave back, if all ended well and with the same weights."""
    raise_first(outcomes, workers)
    results = [outcome.result or {} for outcome in outcomes]
    weights = {result["weights"] for result in results}
    if len(weights) > 1:
        raise WorkerError(f"the {workers} workers ended with different weights; report this with your model")
    first = next(outcome for outcome in outcomes if outcome.rank == 0)
    state = None if first.state is None else read_state(first.state)[0]
    return Done((first.result or {})["history"], state)


def raise_first(outcomes: Sequence[Outcome], workers: int) -> None:
    """Raise what went wrong first: those who only lost their peers come last."""
    failed = [outcome for outcome in outcomes if outcome.result is None or "error" in outcome.result]
    if not failed:
        return
    told = [outcome for outcome in failed if outcome.result and outcome.result["error"] != "PeerLostError"]
    died = [outcome for outcome in failed if outcome.result is None and not outcome.stopped]
    died.sort(key=lambda outcome: outcome.code == -signal.SIGABRT)  # so gloo ends when its peers are gone
    silent = [outcome for outcome in failed if outcome.result is None and outcome.stopped]
    outcome = (told or died or silent or failed)[0]
    who = f"rank {outcome.rank} of {workers}"
    if outcome.result is None:
        raise _lost(who, outcome)
    result = outcome.result
    if result["error"] == "PeerLostError":
        raise WorkerLostError(f"{who}: {result['message']}")
    if result["ours"]:
        kind = getattr(errors, result["error"], FriesianError)
        text = f"{who}: {result['message']}"
        raise FriesianError(text) if kind is MissingExtraError else kind(text)  # which is made of other arguments
    raise WorkerError(f"{who} failed with {result['error']}: {result['message']}\n{result['trace']}")


def _lost(who: str, outcome: Outcome) -> WorkerLostError:
    """The error of a worker that left no result."""
    if outcome.stopped:
        how = "no longer answered the others and was stopped"
    elif outcome.code < 0:
        how = f"was killed by {signal.Signals(-outcome.code).name}"
    else:
        how = "ended without a word"
    log = f"; the end of its output:\n{outcome.log}" if outcome.log else ""
    return WorkerLostError(
        f"{who} {how}; with a checkpoint_dir the same fit goes on from the last checkpoint, with a smaller "
        f"batch_size or buffer_rows it takes less memory{log}"
    )


def _of_rank(text: str, workers: int) -> str:
    """Spark's text, with the rank of the task that it names."""
    task = re.search(r"ResultTask\(\d+, (\d+)\)", text)
    return text if task is None else f"rank {task[1]} of {workers} failed: {text}"


def _of_spark(text: str, workers: int) -> WorkerError:
    """What Spark's failure comes to: only a process or a machine that was lost may do better the next time."""
    told = _of_rank(text.splitlines()[0], workers)
    if _LOSS.search(text):
        return WorkerLostError(f"Spark lost the training's tasks: {told}")
    return WorkerError(f"Spark could not run the training's tasks: {told}")


def _text_of(error: Exception) -> str:
    of_java = getattr(error, "java_exception", None)
    return str(error if of_java is None else of_java.toString()).strip() or type(error).__name__
