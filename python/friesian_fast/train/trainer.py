"""The training loop of one worker: the same for every framework and any number of workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.checkpoint import FILE, read_state, write_state
from friesian_fast.train.comm import Array, Comm, digests, same_facts, same_state
from friesian_fast.train.fields import Field
from friesian_fast.train.fingerprint import differing_parts, fingerprints
from friesian_fast.train.input import Batch, Extend, Input
from friesian_fast.train.job import Done, Event, State, Task, Work, fields_of, is_binary, labels_of
from friesian_fast.train.keras_callbacks import KerasCallbacks
from friesian_fast.train.scores import BinaryScores, require_scale

_REPORT_S = 0.2
_METRIC = "metrics/"
_WAITED, _SECONDS = 3, 4  # places among the sums of an epoch

Report = Callable[[Event], None]


class Trainer:
    """One worker's part of a fit or an evaluation.

    Parameters
    ----------
    work : Work
    comm : Comm
    task : Task
    report : callable
        Gets events: ``{"epoch", "step", "steps", "rows", "seconds"}`` now and then, ``{"epoch", "logs"}`` at the end
        of an epoch.
    """

    def __init__(self, work: Work, comm: Comm, task: Task, report: Report = lambda event: None) -> None:
        self._work = work
        self._comm = comm
        self._task = task
        self._report = report
        # Of the callbacks as they were given: what they count while they run is not theirs.
        self._fingerprints = fingerprints(work) if work.checkpoint_dir is not None and comm.rank == 0 else {}
        self._is_binary = is_binary(work, task)
        require_scale(work.metrics, task.scale, task.loss_name)
        features = fields_of(work, task)
        self.input = self._input(work.source, features, work.extend)
        self._validation = None
        if work.validation is not None:
            self._validation = self._input(work.validation, features, work.validation_extend)
        with comm.doing("reading the first row"):
            first = self.input.sample()
        with comm.doing("building the model"):
            task.build(self.input.features, self.input.labels, first)
        comm.meet()
        if work.state is not None:
            task.load(work.state)
        elif comm.world > 1:
            self._take_from_first()
        self._history: list[dict[str, float]] = []
        self._scores = BinaryScores()
        self._sums = _no_sums()

    def _input(self, source: Any, features: list[Field], extend: Extend | None) -> Input:
        work, comm, task = self._work, self._comm, self._task
        needed = [] if extend is None else extend.columns
        read = [field.name for field in features]
        return Input(
            pieces=source.pieces,
            features=features,
            labels=labels_of(work, task, source),
            batch_size=work.batch_size,
            buffer_rows=work.buffer_rows,
            rank=comm.rank,
            world=comm.world,
            seed=work.seed,
            extend=extend,
            others=[Field(name=name, dtype="int64") for name in needed if name not in read],
        )

    def fit(self) -> Done:
        """Train all epochs, going on from a checkpoint if there is one of this work."""
        work = self._work
        self._task.begin_training()
        callbacks = KerasCallbacks(self._task, work.callbacks if self._comm.rank == 0 else (), self._comm)
        self._meet_after_callbacks()
        epoch, skip = self._resume()
        while epoch < work.epochs and not self._is_over():
            if not skip:  # else it has been told, and the rate that it set is in the checkpoint
                callbacks.epoch_begin(epoch)
                self._meet_after_callbacks()
                self._share_rate()
            logs = self._epoch(epoch, skip)
            skip = 0
            self._history.append(logs)
            stop = self._end_of_epoch(callbacks, epoch, logs)
            epoch += 1
            self._report({"epoch": epoch, "logs": logs})
            if work.checkpoint_dir is not None:
                self._save(epoch, 0, stopped=bool(stop))
            if stop:
                break
        self._with_weights_of_first(callbacks.train_end)
        return Done(self._history)

    def _end_of_epoch(self, callbacks: KerasCallbacks, epoch: int, logs: dict[str, float]) -> bool:
        """Run the callbacks of rank 0; all workers go on with what they left. Whether they want to stop."""
        stop = self._with_weights_of_first(lambda: callbacks.epoch_end(epoch, logs))
        self._share_rate()
        return bool(self._comm.same(np.array(stop)))

    def _with_weights_of_first(self, run: Callable[[], Any]) -> Any:
        """Call what may put other weights in, on rank 0, and give them to all then."""
        if not self._work.callbacks or self._comm.world == 1:
            return run()
        before = self._digests()
        found = run()
        self._meet_after_callbacks()
        changed = self._comm.same((before != self._digests()).any(keepdims=True))
        if changed.any():
            self._take_from_first()
        return found

    def _meet_after_callbacks(self) -> None:
        """Wait for rank 0, whose callbacks may evaluate or upload for longer than a message may take."""
        if self._work.callbacks:
            self._comm.meet()

    def _digests(self) -> Any:
        return digests(list(self._task.state().values()) if self._comm.rank == 0 else [])

    def _share_rate(self) -> None:
        """Give all workers the learning rate that the callbacks of rank 0 left."""
        if self._work.callbacks:
            self._task.learning_rate = float(self._comm.same(np.array(self._task.learning_rate)))

    def _take_from_first(self) -> None:
        """Take the weights of rank 0."""
        self._task.load({name: self._comm.same(value) for name, value in self._task.state().items()})

    def evaluate(self) -> Done:
        """Measure the whole data once."""
        return Done([self._measure(self.input)])

    def _is_over(self) -> bool:
        return any(stopping.has_stalled(self._history) for stopping in self._work.early_stopping)

    def _epoch(self, epoch: int, skip: int) -> dict[str, float]:
        work = self._work
        number = work.first_epoch + epoch
        steps = self.input.steps(number)
        if not skip:
            self._task.reset_metrics()
        progress = _Progress(epoch + 1, steps, self._report if self._comm.rank == 0 else None)
        batches = self._batches(self.input.batches(number, skip))
        to_read = {skip, *self.input.first_steps(number)}
        begun = time.perf_counter()
        for step in range(skip, steps):
            asked = time.perf_counter()
            batch = next(batches)
            if step in to_read:
                self._comm.meet()  # however long one of them reads
            self._sums[_WAITED] += time.perf_counter() - asked
            self._task.begin([work.seed, number, step])
            with self._comm.step():
                self._step(batch, epoch, step)
            now = time.perf_counter()
            self._sums[_SECONDS] += now - begun
            begun = now
            if work.checkpoint_steps and (step + 1) % work.checkpoint_steps == 0 and step + 1 < steps:
                self._save(epoch, step + 1)
            progress(step + 1, batch)
        self._task.share_buffers()
        logs = self._logs()
        if self._validation is not None:
            logs |= {f"val_{name}": value for name, value in self._measure(self._validation).items()}
        return logs

    def _batches(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same; who waits for their rows is told so."""
        while True:
            with self._comm.doing("reading rows"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _step(self, batch: Batch, epoch: int, step: int) -> None:
        loss, predictions = self._task.train(batch)
        if not math.isfinite(loss):
            raise InvalidInputError(
                f"the loss became {loss} in epoch {epoch + 1}, step {step + 1}; lower the learning rate"
            )
        if batch.factor:
            self._count(batch, loss, predictions, self._sums, self._scores)

    def _count(self, batch: Batch, loss: float, predictions: Any, sums: Any, scores: BinaryScores) -> None:
        if not math.isfinite(loss):
            raise InvalidInputError(f"the loss of rows that are not trained on is {loss}; lower the learning rate")
        sums[:2] += loss * batch.rows, batch.rows
        if self._is_binary and batch.labels:
            labels = next(iter(batch.labels.values()))
            sums[2] += float((labels > 0).sum())
            if self._work.metrics:
                if predictions.size != labels.size:
                    raise InvalidInputError(
                        f"{', '.join(self._work.metrics)} take one prediction a label; the model gives the shape "
                        f"{predictions.shape}"
                    )
                scores.add(labels.reshape(-1), self._task.logits(predictions.reshape(-1)))

    def _logs(self) -> dict[str, float]:
        """The metrics of the epoch over all workers; counting starts anew."""
        loss, rows, positives, waited, seconds = self._comm.sum(self._sums.copy())
        if self._is_binary and positives in (0, rows):
            raise InvalidInputError(f"all {int(rows)} labels are {int(positives > 0)}; there is nothing to tell apart")
        logs = {"loss": loss / rows, **self._task.metrics()}
        if self._work.metrics:
            logs |= self._scores.merged(self._comm).metrics(self._work.metrics)
        logs |= {"rows_per_second": rows / seconds * self._comm.world, "input_wait": waited / seconds}
        self._sums, self._scores = _no_sums(), BinaryScores()
        values = self._comm.same(np.array(list(logs.values()), np.float64))
        return dict(zip(logs, (float(value) for value in values), strict=True))

    def _measure(self, data: Input) -> dict[str, float]:
        sums, scores = _no_sums(), BinaryScores()
        self._task.reset_metrics()
        for batch in self._batches(data.batches(None)):
            with self._comm.step():
                loss, predictions = self._task.score(batch)
            self._count(batch, loss, predictions, sums, scores)
        self._comm.meet()
        loss, rows = self._comm.sum(sums)[:2]
        logs = {"loss": float(loss / rows), **self._task.metrics()}
        if self._work.metrics:
            logs |= scores.merged(self._comm).metrics(self._work.metrics)
        self._task.reset_metrics()
        return logs

    def _save(self, epoch: int, step: int, *, stopped: bool = False) -> None:
        """Keep all that the rest of the run depends on."""
        assert self._work.checkpoint_dir is not None
        self._task.share_buffers()
        counted = self._counted() if step else []  # at the end of an epoch counting has begun anew
        extra = {f"{_METRIC}{number}": value for number, value in enumerate(counted)}
        facts = {
            "parts": self._fingerprints,
            "epoch": epoch,
            "step": step,
            "stopped": stopped,
            "history": self._history,
            "rate": self._task.learning_rate,
        }
        if self._comm.rank == 0:
            with self._comm.doing("writing the checkpoint"):
                write_state(self._work.checkpoint_dir / FILE, {**self._task.state(), **extra}, facts)
        self._comm.meet()

    def _counted(self) -> list[Array]:
        """What all workers have counted in this epoch, for `_count_on`."""
        first = self._comm.rank == 0
        sums = self._comm.sum(self._sums.copy())
        scores = self._scores.merged(self._comm) if self._work.metrics else BinaryScores()
        metrics = [self._comm.sum(value) for value in self._task.metric_state()]
        # What was counted so far is rank 0's from here on, so that it is the same for those who go on from the file.
        self._sums, self._scores = (sums, scores) if first else (_no_sums(), BinaryScores())
        self._task.set_metric_state(metrics if first else [np.zeros_like(value) for value in metrics])
        return [sums, *scores.state(), *metrics]

    def _count_on(self, counted: list[Array]) -> None:
        self._sums, self._scores = counted[0], BinaryScores.of(counted[1:4])
        self._task.set_metric_state(counted[4:])

    def _resume(self) -> tuple[int, int]:
        """The epoch and the step to go on from: rank 0 reads the checkpoint, if there is one, for all."""
        if self._work.checkpoint_dir is None:
            return 0, 0
        with self._comm.doing("reading the checkpoint"):
            facts, state = self._kept() if self._comm.rank == 0 else (None, {})
        self._comm.meet()
        facts = same_facts(self._comm, facts)
        if facts is None:
            return 0, 0
        state = same_state(self._comm, state)
        self._task.load({name: value for name, value in state.items() if not name.startswith(_METRIC)})
        self._task.begin_training()
        self._task.learning_rate = facts["rate"]
        self._history = facts["history"]
        counted = [state[f"{_METRIC}{number}"] for number in range(len(state)) if f"{_METRIC}{number}" in state]
        self._task.reset_metrics()
        if counted and self._comm.rank == 0:
            self._count_on(counted)
        return (self._work.epochs, 0) if facts["stopped"] else (int(facts["epoch"]), int(facts["step"]))

    def _kept(self) -> tuple[dict[str, Any] | None, State]:
        """The facts and the arrays of the checkpoint; None and nothing if there is none."""
        assert self._work.checkpoint_dir is not None
        path = self._work.checkpoint_dir / FILE
        if not path.exists():
            return None, {}
        state, facts = read_state(path)
        if "parts" not in facts:
            raise InvalidInputError(
                f"{path} was written by an earlier version; remove it or name another checkpoint_dir"
            )
        others = differing_parts(facts["parts"], self._fingerprints)
        if others:
            hint = " (with callbacks that have not run yet)" if "callbacks" in others else ""
            raise InvalidInputError(
                f"{path} is of another run, with other {', '.join(others)}; make the same call again{hint}, remove the "
                "checkpoint, or name another checkpoint_dir"
            )
        return facts, state


def _no_sums() -> Array:
    """Of an epoch: loss, rows, positives, seconds of waiting for input, seconds in all."""
    return np.zeros(5)


class _Progress:
    """Tells rank 0's caller now and then how far an epoch is; what was done before a resume does not count as speed."""

    def __init__(self, epoch: int, steps: int, report: Report | None) -> None:
        self._epoch = epoch
        self._steps = steps
        self._report = report
        self._started = self._reported = time.perf_counter()
        self._rows = 0.0

    def __call__(self, step: int, batch: Batch) -> None:
        if self._report is None:
            return
        self._rows += batch.rows / batch.factor if batch.factor else 0  # of all workers
        now = time.perf_counter()
        if now - self._reported >= _REPORT_S:
            self._reported = now
            told = {"rows": round(self._rows), "seconds": now - self._started}
            self._report({"epoch": self._epoch, "step": step, "steps": self._steps, **told})
