"""The race between runtimes, on a clock that the runtimes themselves move."""

import numpy as np
import pytest

from friesian_fast.errors import ReleaseError
from friesian_fast.rank import REFERENCE
from friesian_fast.release import trial as trials
from friesian_fast.release.race import FIRST, fastest, race
from friesian_fast.release.trial import Trial

N = 200
SCORES = np.linspace(0.9, 0.1, 30, dtype=np.float32)
SCORES[10] = SCORES[9] - 0.001
FAST, SLOWER, SLOW = "openvino-int8", "openvino-bf16", "openvino-fp32"
CASCADE = "openvino-bf16+fp32"


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(trials.time, "perf_counter", lambda: now[0])
    return now


def asked(n=N):
    return [{"number": np.array([number])} for number in range(n)]


class Timed:
    """Takes so long a call, by the calls before if `seconds` is a function; `change` may alter a request's scores."""

    def __init__(self, clock, seconds, change=lambda number, scores: scores):
        self._clock, self._seconds, self._change = clock, seconds, change
        self.shown, self._calls = set(), 0

    def score(self, rows, shown=None):
        self._clock[0] += self._seconds(self._calls) if callable(self._seconds) else self._seconds
        self._calls += 1
        self.shown.add(shown)
        return self._change(int(rows["number"][0]), SCORES.copy())


def raised_after(request, by):
    return lambda number, scores: scores + np.float32(by if number >= request else 0)


def wrong_tenth(numbers):
    """The tenth and the eleventh change places, and nothing moves by more than the bound."""

    def change(number, scores):
        if number in numbers:
            scores[[9, 10]] = scores[[10, 9]]
        return scores

    return change


def run(clock, *others, n=N, needed=None, reference=1.0):
    """Race (name, seconds, change) against the reference; what the manifest would say, by name."""
    named = ((REFERENCE, reference), *others)
    contenders = [Trial(name, Timed(clock, *how), n, 10, name in (REFERENCE, needed)) for name, *how in named]
    race(contenders[0], contenders[1:], asked(n), iter)
    return {one.name: one.entry() for one in contenders}


def chosen(found):
    return fastest(*found.values())


def test_who_is_clearly_slower_is_left_out_after_the_first_requests(clock):
    found = run(clock, (FAST, 0.25), (SLOWER, 0.3), (SLOW, 0.5))
    assert chosen(found) == FAST
    assert {name: entry.requests for name, entry in found.items()} == {REFERENCE: N, FAST: N, SLOWER: N, SLOW: FIRST}
    assert found[SLOW].refused == f"slower: 2.0 times {FAST}"
    assert not found[SLOWER].refused
    assert found[REFERENCE].p50_ms == pytest.approx(1000)


def test_where_the_leader_fails_later_the_next_are_compared_on_all(clock):
    found = run(clock, (FAST, 0.25, raised_after(120, 0.01)), (SLOWER, 0.5), (SLOW, 0.8))
    assert chosen(found) == SLOWER
    assert found[FAST].refused == "error 1.0e-02 > 2e-03"
    assert (found[FAST].requests, found[SLOWER].requests, found[SLOW].requests) == (130, N, FIRST)
    assert found[REFERENCE].requests == N
    assert found[SLOW].refused == f"slower: 1.6 times {SLOWER}"


def test_what_is_slower_than_the_reference_is_not_run_on_all(clock):
    found = run(clock, (FAST, 0.25, raised_after(0, 0.01)), (SLOWER, 1.5), (SLOW, 2.0))
    assert chosen(found) == REFERENCE
    assert (found[FAST].requests, found[SLOWER].requests, found[SLOW].requests) == (10, FIRST, FIRST)
    assert found[SLOWER].refused == f"slower: 1.5 times {REFERENCE}"
    assert found[REFERENCE].p50_ms == pytest.approx(1000)


def test_only_times_of_the_same_heat_are_compared(clock):
    """The machine is calm again when the second heat begins."""
    found = run(
        clock,
        (FAST, 0.25, raised_after(N - 1, 0.01)),
        (SLOWER, lambda calls: 3.8 if calls < FIRST else 0.95),
        reference=lambda calls: 4.0 if calls < N else 1.0,
    )
    assert (found[FAST].requests, found[SLOWER].requests) == (N, N)
    assert (found[SLOWER].p50_ms, found[REFERENCE].p50_ms) == pytest.approx((950, 1000))
    assert chosen(found) == REFERENCE


@pytest.mark.parametrize(("wrong", "holds", "requests"), [(20, True, N), (21, False, 30)])
def test_agreement_is_that_over_all_requests(clock, wrong, holds, requests):
    found = run(clock, (FAST, 0.25, wrong_tenth(range(wrong))))
    assert chosen(found) == (FAST if holds else REFERENCE)
    assert found[FAST].requests == requests  # from there on it cannot reach 0.99
    if holds:
        assert found[FAST].agreement == pytest.approx(0.99)
    else:
        assert found[FAST].refused == f"agreement {1 - 0.1 * 21 / 30:.4f} < 0.99"


def test_of_a_cascade_the_error_of_what_is_shown_counts_and_of_others_that_of_all(clock):
    def lower_the_last(number, scores):
        scores[-1] -= 0.0625
        return scores

    found = run(clock, (FAST, 0.25, lower_the_last), (CASCADE, 0.5, lower_the_last))
    assert found[FAST].refused == "error 6.2e-02 > 2e-03"
    assert found[FAST].shown_error == found[CASCADE].max_error == 0.0625
    assert (found[CASCADE].shown_error, found[CASCADE].refused) == (0.0, "")
    assert chosen(found) == CASCADE


def test_what_is_needed_is_run_on_all_though_it_is_slow_and_off(clock):
    found = run(clock, (SLOW, 5.0, raised_after(0, 0.01)), needed=SLOW)
    assert (found[SLOW].requests, found[SLOW].refused) == (N, "error 1.0e-02 > 2e-03")


def test_the_reference_is_run_on_all_where_nobody_goes_on(clock):
    assert run(clock)[REFERENCE].requests == N
    found = run(clock, (FAST, 0.25, raised_after(0, 0.5)))
    assert found[FAST].refused
    assert (chosen(found), found[REFERENCE].requests) == (REFERENCE, N)


def test_with_few_users_all_requests_are_the_first(clock):
    found = run(clock, (FAST, 0.25), (SLOW, 0.8), n=20)
    assert chosen(found) == FAST
    assert {(entry.requests, entry.refused) for entry in found.values()} == {(20, "")}


@pytest.mark.parametrize("failing", [0, 75])
def test_a_failure_is_kept_unless_the_runtime_is_needed(clock, failing):
    def fail(number, scores):
        if number == failing:
            raise ReleaseError("NaN")
        return scores

    found = run(clock, (FAST, 0.25, fail), (SLOW, 0.8))
    assert (found[FAST].requests, found[FAST].refused) == (failing, "NaN")
    assert (chosen(found), found[SLOW].requests) == (SLOW, N)
    with pytest.raises(ReleaseError, match="NaN"):
        run(clock, (FAST, 0.25, fail), needed=FAST)


def test_rankers_are_told_what_is_shown(clock):
    ranker = Timed(clock, 1.0)
    Trial(FAST, ranker, N, 10, False).run(asked(3))
    Trial(FAST, ranker, N, None, False).run(asked(3))
    assert ranker.shown == {10, None}
