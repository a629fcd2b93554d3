"""Runs functions of ours as Spark tasks: plain JSON goes in, plain JSON comes back, failures keep their names."""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from friesian_fast import errors
from friesian_fast.errors import FriesianError
from friesian_fast.feature.progress import watched

Task = Callable[[dict[str, Any]], dict[str, Any]]

_scratch: list[Path] = []
_settled = 0


def run_tasks(session: Any, task: Task, inputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``[task(x) for x in inputs]``, each as a Spark task.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
    task : function
        Of a module that the workers can import.
    inputs : sequence of dict
        JSON values.

    Raises
    ------
    FriesianError
        What a task raised, in its own class.
    """
    if not inputs:
        return []
    texts = [json.dumps(value) for value in inputs]
    with watched(session, task.__name__.replace("_", " "), len(texts)) as counts:
        run = partial(guarded, task) if counts is None else partial(counted, task, *counts)
        answers = session.sparkContext.parallelize(texts, len(texts)).map(run).collect()
    return [opened(answer) for answer in answers]


def counted(task: Task, ended: Any, rows: Any, text: str) -> str:
    """`guarded`, which also tells two Spark accumulators that a task ended and how many rows it had, if it says so."""
    answer = guarded(task, text)
    ended.add(1)
    rows.add(json.loads(answer).get("answer", {}).get("rows", 0))
    return answer


def guarded(task: Task, text: str) -> str:
    """The task's answer as JSON, or the named error it ended with."""
    try:
        answer = task(json.loads(text))
        _settle()
        return json.dumps({"answer": answer})
    except FriesianError as error:
        return json.dumps({"error": type(error).__name__, "message": str(error)})
    except OSError as error:  # a full disk, a directory that this machine does not see
        told = f"a task could not use {error.filename or 'a file'}: {error.strerror or error}"
        return json.dumps({"error": FriesianError.__name__, "message": told})


def _settle() -> None:
    """Keep the modules imported by now out of the garbage collector's rounds.

    Spark's worker makes one after each task, and of our modules and theirs it takes longer than many a task.
    """
    global _settled
    if len(sys.modules) > _settled:
        _settled = len(sys.modules)
        gc.collect()
        gc.freeze()


def opened(text: str) -> dict[str, Any]:
    """The answer of `guarded`; raises the error if it was one."""
    data = json.loads(text)
    if "error" in data:
        kind = getattr(errors, data["error"], FriesianError)
        raise kind(data["message"])
    answer: dict[str, Any] = data["answer"]
    return answer


@contextmanager
def scratch_in(directory: Path) -> Iterator[None]:
    """Keep intermediate files in this directory, which the tasks must see under the same path."""
    directory.mkdir(parents=True, exist_ok=True)
    _scratch.append(directory)
    try:
        yield
    finally:
        _scratch.pop()


def scratch(kind: str) -> Path:
    """A new directory for intermediate files: under `scratch_in`, ``FRIESIAN_SCRATCH_DIR`` or the system's own."""
    if not _scratch:
        base = os.environ.get("FRIESIAN_SCRATCH_DIR")
        _scratch.append(_temporary(base))
    path = _scratch[-1] / f"{kind}-{uuid.uuid4().hex[:12]}"
    path.mkdir(parents=True)
    return path


def _temporary(base: str | None) -> Path:
    """Removed when this process ends."""
    import atexit
    import shutil

    path = Path(tempfile.mkdtemp(prefix="friesian-", dir=base))
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(path, ignore_errors=True) if os.getpid() == owner else None)
    return path
