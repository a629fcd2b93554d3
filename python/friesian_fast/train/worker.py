"""The process of one training worker: ``python -m friesian_fast.train.worker <file with the order>``.

The order and the work lie in a directory that only the launching user can read; results are written there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from friesian_fast.errors import FriesianError
from friesian_fast.train.comm import Comm, GlooComm, PeerLostError
from friesian_fast.train.job import Done, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which worker this is: `meet` is where all meet, `cores` the threads of its mathematics."""

    rank: int
    world: int
    meet: str
    cores: int


def run(work: Work, comm: Comm, task: Any, report: Any) -> Done:
    """Do a work; what `fit` and its kin come down to on one worker."""
    from friesian_fast.train.trainer import Trainer

    if work.kind == "predict":
        from friesian_fast.train.predictor import predict

        return predict(work, comm, task)
    trainer = Trainer(work, comm, task, report)
    return trainer.fit() if work.kind == "fit" else trainer.evaluate()


def main(order_file: str) -> int:
    """Run one worker; 0 if all went well."""
    directory = Path(order_file).parent
    order = Order(**json.loads(Path(order_file).read_text(encoding="utf-8")))
    threading.Thread(target=_end_with_launcher, args=(directory,), daemon=True).start()
    result = directory / f"result-{order.rank}.json"
    try:
        done = _work(directory, order)
    except Exception as error:
        kind = "PeerLostError" if isinstance(error, PeerLostError) else type(error).__name__
        told = {"error": kind, "message": str(error), "ours": isinstance(error, FriesianError)}
        _write(result, {**told, "trace": traceback.format_exc()})
        return 1
    if done.state is not None and order.rank == 0:
        from friesian_fast.train.checkpoint import write_state

        write_state(directory / "state.safetensors", done.state, {})
    _write(result, {"history": done.history, "weights": None if done.state is None else digest(done.state)})
    return 0


def _work(directory: Path, order: Order) -> Done:
    import cloudpickle

    from friesian_fast.train.events import sender

    # First of all: whoever fails from here on is missed by the others at once.
    comm = GlooComm(order.meet, order.rank, order.world, pulse_of(directory, order.rank))
    with comm.doing("loading the functions that make the model"):
        # Made a moment ago by the process that started this one.
        work, mailbox = cloudpickle.loads((directory / "work").read_bytes())
    import torch

    torch.set_num_threads(order.cores)
    report = sender(mailbox if order.rank == 0 else None)
    with comm.doing("making the model"):
        task = work.maker(comm)
    comm.meet()
    done = run(work, comm, task, report)
    if work.kind == "fit":
        done.state = task.state()
    comm.close()
    return done


def digest(state: Any) -> str:
    """A hash of all weights."""
    import hashlib

    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode() + state[name].tobytes())
    return found.hexdigest()


def _end_with_launcher(directory: Path) -> None:
    """The launcher holds the other end of our standard input; when it dies, so do we, and what it left here goes."""
    # By the descriptor: the interpreter aborts at its end if a thread still holds the lock of a buffered reader.
    while os.read(0, 4096):
        pass
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(1)


def _write(path: Path, result: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.replace(path)


def pulse_of(directory: Path, rank: int) -> Path:
    """The file that a worker touches as long as it is at work."""
    return directory / f"pulse-{rank}"


def order_text(order: Order) -> str:
    """For `main`."""
    return json.dumps(asdict(order))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
