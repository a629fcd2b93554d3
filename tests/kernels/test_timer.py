"""Durations in memory that others read."""

import pytest

from friesian_fast._core import Timer

ROOM = 4  # durations


def numbers(count):
    return memoryview(bytearray(8 * count)).cast("d")


def test_known_durations():
    slot, generation = numbers(3 + ROOM), numbers(1)
    generation[0] = 7
    timer = Timer([slot], generation)
    for seconds in (0.5, 1, 2, 3, 4, 5):
        timer.add(seconds)
    assert (slot[0], slot[2]) == (7, 6)
    assert slot[1] > 0
    assert slot[3:].tolist() == [4, 5, 2, 3]


def test_a_new_generation_begins_anew():
    slot, generation = numbers(3 + ROOM), numbers(1)
    generation[0] = 1
    timer = Timer([slot], generation)
    timer.add(1)
    generation[0] = 2
    assert slot[2] == 1
    timer.add(3)
    assert (slot[0], slot[2], slot[3]) == (2, 1, 3)


def test_two_timers_of_one_name_count_together():
    shared, own, generation = numbers(3 + ROOM), numbers(3 + ROOM), numbers(1)
    generation[0] = 1
    both, one = Timer([shared, own], generation), Timer([shared], generation)
    both.add(1)
    one.add(2)
    assert (shared[2], shared[3], shared[4]) == (2, 1, 2)
    assert (own[2], own[3]) == (1, 1)


def test_contexts_within_contexts():
    outer, inner, generation = numbers(3 + ROOM), numbers(3 + ROOM), numbers(1)
    generation[0] = 1
    with Timer([outer], generation):
        for _ in range(2):
            with Timer([inner], generation):
                pass
    assert (outer[2], inner[2]) == (1, 2)
    assert outer[3] >= inner[3] + inner[4] >= 0


def test_a_timer_that_was_not_started_is_refused():
    generation = numbers(1)
    with pytest.raises(RuntimeError, match="no timer runs on this thread"):
        Timer([numbers(3 + ROOM)], generation).__exit__()


@pytest.mark.parametrize(
    ("slot", "generation", "error"),
    [
        (numbers(3), numbers(1), ValueError),
        (numbers(8)[::2], numbers(1), TypeError),
        (memoryview(bytearray(64)), numbers(1), TypeError),
        (numbers(8).cast("B").cast("d", (2, 4)), numbers(1), TypeError),
        (memoryview(bytes(64)).cast("d"), numbers(1), BufferError),
        (numbers(8), numbers(0), ValueError),
        (numbers(8), memoryview(bytearray(8)), TypeError),
    ],
)
def test_other_memory_is_refused(slot, generation, error):
    with pytest.raises(error):
        Timer([slot], generation)
