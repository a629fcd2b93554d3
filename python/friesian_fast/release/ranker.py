"""Chooses what ranks: times every runtime on real requests, checks its scores, keeps the fastest that holds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import FriesianError
from friesian_fast.rank import REFERENCE, RESCORED, RUNTIMES, CascadeRanker, Ranker, open_ranker, require_runtime
from friesian_fast.rank.cpu import cpu_model
from friesian_fast.recall import IvfIndex
from friesian_fast.release.inputs import Inputs
from friesian_fast.release.manifest import IndexEntry, MachineEntry, RankerEntry, RowSetEntry, RuntimeEntry
from friesian_fast.release.plan import RankPlan
from friesian_fast.release.ranker_files import write_model
from friesian_fast.release.rules import Rules
from friesian_fast.spec import CANDIDATE, FeatureSpec
from friesian_fast.store import MappedRowStore

MODELS = "rank"
REQUESTS = 1000
CALIBRATION = 100  # requests
TOP = 10
MIN_AGREEMENT = 0.99
MAX_ERROR = 2e-3  # of the ten best scores
MAX_SHARE = 0.9  # of the reference's time: less of a gain is not worth another precision
BUDGET_S = 300.0
BLOCK = 10  # requests
LEAST = 20  # requests that are timed even where the budget is spent

Track = Callable[[Sequence[Any]], Iterable[Any]]
Rows = Mapping[str, NDArray[Any]]

# TensorFlow takes seconds to import and has not been the fastest; it is timed when the plan names it.
_DEFAULTS = tuple(name for name in RUNTIMES if not name.startswith("tensorflow"))


def check_rank_plan(plan: RankPlan) -> None:
    """Refuse a runtime that is asked for and cannot be had, before anything is built.

    Raises
    ------
    MissingExtraError, UnsupportedRuntimeError
    """
    for name in (plan.runtime,) if plan.runtime else plan.runtimes or ():
        require_runtime(name)


def write_ranker(
    inputs: Inputs, building: Path, row_sets: Mapping[str, RowSetEntry], index: IndexEntry, track: Track = iter
) -> RankerEntry:
    """The ONNX model as it was exported, and beside it what the chosen runtime runs.

    Parameters
    ----------
    inputs : Inputs
    building : Path
        Holds the rows and the index already: the requests are answered from them.
    row_sets : mapping of name to RowSetEntry
    index : IndexEntry
    track : callable, optional
        Takes the blocks of requests and gives them back one by one; a progress bar.

    Raises
    ------
    FriesianError
        If the model cannot score the release's own rows.
    """
    directory, file = building / MODELS, RUNTIMES[REFERENCE].file
    directory.mkdir()
    shutil.copyfile(inputs.ranker, directory / file)
    requests = list(_requests(inputs, building, row_sets, index))
    trials, skipped = _open_all(_wanted(inputs.rank), inputs, directory, requests[:CALIBRATION])
    done = _run_all(trials, requests, track, {REFERENCE, inputs.rank.runtime})
    entries = tuple(trial.entry(trials[REFERENCE]) for trial in trials.values())
    runtime = inputs.rank.runtime or fastest(entries)
    _remove_unused(directory, {file, RUNTIMES[runtime].file})
    return RankerEntry(
        file=f"{MODELS}/{file}",
        runtime=runtime,
        model=f"{MODELS}/{RUNTIMES[runtime].file}",
        max_error=float(inputs.training["max_error"]),
        requests=done,
        candidates=max(len(next(iter(rows.values()))) for rows in requests),
        machine=MachineEntry(cpu=cpu_model(), simd=_core.active_simd_level()),
        runtimes=entries,
        skipped=skipped,
    )


@dataclass(slots=True)
class _Trial:
    """A runtime on trial: its ranker, and what its runs gave."""

    name: str
    ranker: Ranker
    seconds: list[float] = field(default_factory=list)
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    failure: str = ""

    def run(self, block: Sequence[Rows], *, fatal: bool) -> None:
        """Score a block of requests; a failure is kept, or raised where it is fatal."""
        try:
            for rows in block:
                start = time.perf_counter()
                scores = self.ranker.score(rows)
                self.seconds.append(time.perf_counter() - start)
                self.scores.append(scores)
        except FriesianError as error:
            if fatal:
                raise
            self.failure = str(error)

    def entry(self, reference: _Trial) -> RuntimeEntry:
        """What the manifest says of it."""
        pairs = list(zip(reference.scores, self.scores, strict=False))
        agreement = float(np.mean([agreement_of(*pair) for pair in pairs])) if pairs else 0.0
        top_error = max((top_error_of(*pair) for pair in pairs), default=0.0)
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1e3 if self.seconds else (0.0, 0.0)
        return RuntimeEntry(
            name=self.name,
            precision=RUNTIMES[self.name].precision,
            p50_ms=float(p50),
            p99_ms=float(p99),
            agreement=agreement,
            top_error=top_error,
            max_error=max((float(np.abs(one - other).max()) for one, other in pairs), default=0.0),
            refused=self.failure or _refusal(agreement, top_error),
        )


def agreement_of(reference: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    """The share of the reference's best that are among the best here."""
    best = [_best(values) for values in (reference, scores)]
    return len(best[0] & best[1]) / len(best[0])


def top_error_of(reference: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    """The largest error of a score among the best by either."""
    shown = sorted(_best(reference) | _best(scores))
    return float(np.abs(reference - scores)[shown].max())


def _best(scores: NDArray[np.float32]) -> set[int]:
    return set(np.argsort(-scores, kind="stable")[:TOP].tolist())


def _refusal(agreement: float, error: float) -> str:
    if not agreement >= MIN_AGREEMENT:  # nor if it is no number
        return f"agreement {agreement:.4f} < {MIN_AGREEMENT}"
    return "" if error <= MAX_ERROR else f"error {error:.1e} > {MAX_ERROR:.0e}"


def fastest(entries: Sequence[RuntimeEntry]) -> str:
    """The best median of those that hold; the reference unless another is clearly faster."""
    reference = next(entry for entry in entries if entry.name == REFERENCE)
    better = [entry for entry in entries if not entry.refused and entry.p50_ms < MAX_SHARE * reference.p50_ms]
    return min(better, key=lambda entry: entry.p50_ms, default=reference).name


def _wanted(plan: RankPlan) -> list[str]:
    """What to try: the reference first, since the others are measured by it."""
    named = (plan.runtime,) if plan.runtime else plan.runtimes or _DEFAULTS
    return [REFERENCE, *(name for name in named if name != REFERENCE)]


def _open_all(
    names: Sequence[str], inputs: Inputs, directory: Path, requests: Sequence[Rows]
) -> tuple[dict[str, _Trial], dict[str, str]]:
    """Those that open; of the others why not. A runtime that was asked for must open."""
    trials: dict[str, _Trial] = {}
    skipped: dict[str, str] = {}
    for name in names:
        try:
            runtime = require_runtime(name)
            model = write_model(name, inputs.ranker.parent, directory, runtime.file, requests)
            if runtime.cheap in trials:  # opened already, as the reference is
                rankers = (trials[runtime.cheap].ranker, trials[REFERENCE].ranker)
                trials[name] = _Trial(name, CascadeRanker(*rankers, RESCORED))
            else:
                trials[name] = _Trial(name, open_ranker(model, inputs.spec, runtime=name))
        except Exception as error:  # the quantisers' exceptions have no common base but this
            if name in (REFERENCE, inputs.rank.runtime):
                raise
            skipped[name] = str(error) or type(error).__name__
    return trials, skipped


def _run_all(trials: Mapping[str, _Trial], requests: Sequence[Rows], track: Track, needed: set[str | None]) -> int:
    """Every request through every runtime; a block of them at a time, so that all meet the same disturbances, and each
    finds the caches as its own runs left them, which is how a server finds them.
    """
    started, done = time.perf_counter(), 0
    blocks = [requests[start : start + BLOCK] for start in range(0, len(requests), BLOCK)]
    for block in track(blocks):
        for trial in trials.values():
            if not trial.failure:
                trial.run(block, fatal=trial.name in needed)
        done += len(block)
        if done >= LEAST and time.perf_counter() - started > BUDGET_S:
            break
    return done


def _requests(
    inputs: Inputs, building: Path, row_sets: Mapping[str, RowSetEntry], index: IndexEntry
) -> Iterator[dict[str, NDArray[Any]]]:
    """The ranker's inputs for users drawn at random, made by the stages that will serve them."""
    from friesian_fast.recommend.inputs import InputBuilder  # it stands above releases, and imports them
    from friesian_fast.recommend.listed import recall_over
    from friesian_fast.recommend.rules import RulesStage

    users, spec = inputs.vectors["user"].ids, inputs.spec
    drawn = np.sort(np.random.default_rng(0).permutation(len(users))[:REQUESTS])
    names = [name for name in ("user", "item", "user_vector", CANDIDATE) if name in row_sets]
    stores = {name: _open_rows(spec, building, name, row_sets[name]) for name in names}
    opened = IvfIndex.open(building / index.layout)
    everything = RulesStage(Rules(), opened)
    recall = recall_over(spec, opened, stores["user_vector"], stores.get(CANDIDATE), everything)
    builder, limit = InputBuilder(spec), min(inputs.rank.candidates, index.vectors)
    try:
        for position in drawn:
            user = users[position] if isinstance(users, list) else users[position].item()
            found = recall.candidates(user, limit)
            yield builder.build(stores["user"].find([user]), stores["item"].find(found.ids), found.columns)
    finally:
        for store in stores.values():
            store.close()


def _open_rows(spec: FeatureSpec, building: Path, name: str, entry: RowSetEntry) -> MappedRowStore:
    return MappedRowStore.open(building / entry.file, spec.row_set(name), spec.row_tag(name))


def _remove_unused(directory: Path, used: set[str]) -> None:
    for path in directory.iterdir():
        if path.name not in used:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
