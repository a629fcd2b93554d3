"""The race between runtimes: all on a few requests, then the fastest on as many as it takes to be chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from friesian_fast.release.manifest import RuntimeEntry
from friesian_fast.release.trial import Rows, Scores, Trial

FIRST = 50  # requests that all runtimes score
BLOCK = 10  # requests
CLEARLY = 1.3  # times as long as another on the first requests: not the faster one on all of them either
MAX_SHARE = 0.9  # of the reference's time: less of a gain is not worth another precision

Track = Callable[[Sequence[Any]], Iterable[Any]]


def race(reference: Trial, others: Sequence[Trial], requests: Sequence[Rows], track: Track) -> None:
    """Run the first requests through all runtimes, and the others through those that may win; say why of the rest.

    Who is clearly slower than the fastest is left out, unless none of the faster ones holds on all requests: then the
    fastest of those left out are next. So whatever may be chosen was compared on all requests, and timed in turn with
    the reference. What is needed is run on all requests, fast or not and whether it holds or not.

    Parameters
    ----------
    reference : Trial
    others : sequence of Trial
    requests : sequence of mapping of str to array
    track : callable
        Takes blocks of requests and gives them back one by one; a progress bar.
    """
    truth: list[Scores] = []
    _heat(reference, others, requests[:FIRST], truth, 0, track)
    waiting = [trial for trial in others if _goes_on(trial)]
    while waiting and len(requests) > FIRST:
        lead = min([reference, *waiting], key=lambda trial: trial.p50)
        limit = CLEARLY * lead.p50
        racing = [trial for trial in waiting if trial.needed or trial.p50 <= limit]
        waiting = [trial for trial in waiting if trial not in racing]
        slower = {trial.name: f"slower: {trial.p50 / lead.p50:.1f} times {lead.name}" for trial in waiting}
        if racing:
            for trial in (reference, *racing):
                trial.seconds.clear()  # what is compared is timed side by side
            _heat(reference, racing, requests[FIRST:], truth, FIRST, track)
        if lead is reference or any(not trial.refused for trial in racing):
            for trial in waiting:
                trial.passed_over = slower[trial.name]
            break
    if len(truth) < len(requests):  # nobody else went on
        _heat(reference, [], requests[len(truth) :], truth, len(truth), track)


def _heat(
    reference: Trial, others: Sequence[Trial], requests: Sequence[Rows], truth: list[Scores], start: int, track: Track
) -> None:
    """A block of requests at a time through one after the other, so that all meet the same disturbances, and each finds
    the caches as its own runs left them, which is how a server finds them. Ends early if nobody goes on.

    `truth` has the reference's scores of all requests so far; these begin at `start`.
    """
    for block in track([requests[first : first + BLOCK] for first in range(0, len(requests), BLOCK)]):
        exact = reference.run(block)
        if len(truth) == start:
            truth += exact
            reference.compare(exact, exact)
        going = [trial for trial in others if _goes_on(trial)]
        scores = [trial.run(block) for trial in going]
        for trial, found in zip(going, scores, strict=True):
            trial.compare(exact, found)
        start += len(block)
        if others and not any(_goes_on(trial) for trial in others):
            break


def _goes_on(trial: Trial) -> bool:
    return trial.needed or not trial.refused


def fastest(reference: RuntimeEntry, *others: RuntimeEntry) -> str:
    """The best median of those that hold; the reference unless another is clearly faster."""
    better = [entry for entry in others if not entry.refused and entry.p50_ms < MAX_SHARE * reference.p50_ms]
    return min(better, key=lambda entry: entry.p50_ms, default=reference).name
