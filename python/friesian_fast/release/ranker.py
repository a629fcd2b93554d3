"""Chooses what ranks: times every runtime on real requests, checks its scores, keeps the fastest that holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.rank import REFERENCE, RUNTIMES, CascadeRanker, Ranker, open_ranker, require_runtime
from friesian_fast.rank.cpu import cpu_model
from friesian_fast.recall import IvfIndex
from friesian_fast.release.inputs import Inputs
from friesian_fast.release.manifest import IndexEntry, MachineEntry, RankerEntry, RowSetEntry
from friesian_fast.release.plan import RankPlan
from friesian_fast.release.race import Track, fastest, race
from friesian_fast.release.ranker_files import write_model
from friesian_fast.release.rules import Rules
from friesian_fast.release.trial import TOP, Rows, Trial
from friesian_fast.spec import CANDIDATE, FeatureSpec
from friesian_fast.store import MappedRowStore

MODELS = "rank"
REQUESTS = 1000
CALIBRATION = 100  # requests

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
    trials, skipped = _open_all(inputs, directory, requests)
    reference, *others = trials.values()
    race(reference, others, requests, track)
    entries = tuple(trial.entry() for trial in trials.values())
    runtime = inputs.rank.runtime or fastest(*entries)
    _remove_unused(directory, {file, RUNTIMES[runtime].file})
    return RankerEntry(
        file=f"{MODELS}/{file}",
        runtime=runtime,
        model=f"{MODELS}/{RUNTIMES[runtime].file}",
        max_error=float(inputs.training["max_error"]),
        requests=len(requests),
        candidates=max(len(next(iter(rows.values()))) for rows in requests),
        machine=MachineEntry(cpu=cpu_model(), simd=_core.active_simd_level()),
        runtimes=entries,
        skipped=skipped,
    )


def _wanted(plan: RankPlan) -> list[str]:
    """What to try: the reference first, since the others are measured by it."""
    named = (plan.runtime,) if plan.runtime else plan.runtimes or _DEFAULTS
    return [REFERENCE, *(name for name in named if name != REFERENCE)]


def _open_all(inputs: Inputs, directory: Path, requests: Sequence[Rows]) -> tuple[dict[str, Trial], dict[str, str]]:
    """Those that open; of the others why not. The reference and a runtime that was asked for must open."""
    trials: dict[str, Trial] = {}
    skipped: dict[str, str] = {}
    reorders = inputs.rules is not None and inputs.rules.reorders
    for name in _wanted(inputs.rank):
        needed = name in (REFERENCE, inputs.rank.runtime)
        try:
            runtime = require_runtime(name)
            if runtime.cheap and reorders and not needed:
                skipped[name] = f"the rules reorder, so any score may be shown, and it would take all from {REFERENCE}"
                continue
            model = write_model(name, inputs.ranker.parent, directory, runtime.file, _some(requests))
            if runtime.cheap in trials:  # opened already, as the reference is
                cheap, exact = trials[runtime.cheap].ranker, trials[REFERENCE].ranker
                ranker: Ranker = CascadeRanker(cheap, exact)
            else:
                ranker = open_ranker(model, inputs.spec, runtime=name)
            trials[name] = Trial(name, ranker, len(requests), None if reorders else TOP, needed)
        except Exception as error:  # the quantisers' exceptions have no common base but this
            if needed:
                raise
            skipped[name] = str(error) or type(error).__name__
    return trials, skipped


def _some(requests: Sequence[Rows]) -> Sequence[Rows]:
    """Those that calibrate: from all over, since they stand in the order of the users."""
    return requests[:: max(1, len(requests) // CALIBRATION)][:CALIBRATION]


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
    opened = IvfIndex.open(building / index.layout, verify=False)
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
    return MappedRowStore.open(building / entry.file, spec.row_set(name), spec.row_tag(name), verify=False)


def _remove_unused(directory: Path, used: set[str]) -> None:
    for path in directory.iterdir():
        if path.name not in used:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
