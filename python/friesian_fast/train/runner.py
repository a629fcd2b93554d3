"""Where a model's works are run, and where its weights are in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from friesian_fast.errors import InvalidInputError, WorkerLostError
from friesian_fast.train.comm import Comm
from friesian_fast.train.job import RATES, Done, State, Work
from friesian_fast.train.makers import KerasMaker, TorchMaker
from friesian_fast.train.news import News
from friesian_fast.train.predictor import build_like
from friesian_fast.train.runtime import torch_cores
from friesian_fast.train.settings import Backend
from friesian_fast.train.worker import run


class Runner:
    """Runs works in this process, in others, or on Spark; keeps the weights.

    Parameters
    ----------
    maker : KerasMaker or TorchMaker
    backend : {"local", "spark"}
    workers, cores : int
        How many, and the threads of each.
    task : Task, optional
        A model that is there already.
    """

    def __init__(self, maker: KerasMaker | TorchMaker, backend: Backend, workers: int, cores: int, task: Any) -> None:
        if backend not in ("local", "spark"):
            raise InvalidInputError(f"backend is '{backend}'; use local or spark (Ray is not supported)")
        if workers < 1:
            raise InvalidInputError(f"workers is {workers}; it must be at least 1")
        self.maker = maker
        self.workers = workers
        self._backend = backend
        self._cores = cores
        self._task = task
        self._state: State | None = None  # what the task here has not got yet
        self._has_run = False
        self._last: Work | None = None

    @property
    def is_alone(self) -> bool:
        """Whether works are run in this process."""
        return self._backend == "local" and self.workers == 1

    @property
    def framework(self) -> str:
        """Of the model."""
        return "keras" if isinstance(self.maker, KerasMaker) else "torch"

    def run(self, work: Work, news: News, restarts: int = 0) -> Done:
        """Do a work; after the loss of a worker (not after an error of the user's code) again, so often."""
        work = replace(work, state=self._state)
        kept, self._last = self._last, work
        try:
            done = self._with_restarts(work, news, restarts)
        finally:
            # The rows of the last work stay: they say how its model is made.
            for source in () if kept is None else (kept.source, kept.validation):
                if source is not None:
                    source.discard()
        if work.kind == "fit":
            self._has_run = True
            self._state = done.state
        return done

    def _with_restarts(self, work: Work, news: News, restarts: int) -> Done:
        while True:
            try:
                return self._run(work, news)
            except WorkerLostError as error:
                if not restarts:
                    raise
                restarts -= 1
                news.line(f"{error}\nbeginning again at the last checkpoint")

    def _run(self, work: Work, news: News) -> Done:
        with news:
            if self.is_alone:
                with torch_cores(self.maker.cores if isinstance(self.maker, TorchMaker) else None):
                    done = run(work, Comm(), self._own(), news)
                self._state = None
                return done
            from friesian_fast.train import launch

            if self._backend == "local":
                return launch.run_here(work, self.workers, self._cores, news)
            from friesian_fast.feature.session import get_session

            return launch.run_on_spark(get_session(), work, self.workers, self._cores, news)

    def state(self) -> Mapping[str, Any]:
        """The present weights."""
        if self._state is not None:
            return self._state
        if not self._has_run or self._task is None:
            raise InvalidInputError("there is nothing to save yet; fit the model first")
        state: Mapping[str, Any] = self._task.state()
        return state

    def load(self, state: State) -> None:
        """Take other weights, and the optimizer's moments; the learning rate stays the one that the model has here."""
        self._state = {name: value for name, value in state.items() if not name.startswith(RATES)}
        self._has_run = True

    def model(self) -> Any:
        """The model, here, with the present weights."""
        task = self._own()
        if self._state is not None:
            if self._last is not None:
                build_like(self._last, task)
            task.load(self._state)
            if self.is_alone:
                self._state = None
        return task.model

    def _own(self) -> Any:
        if self._task is None:
            self._task = self.maker(Comm())
        return self._task
