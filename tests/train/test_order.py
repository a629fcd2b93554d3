"""Every row comes once an epoch, in steps that are the same on any number of workers and equally shared among them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from friesian_fast.train.order import Piece, shares, shares_in_order, shuffled_steps, stretch, windows


def pieces(*rows):
    return [Piece("f", group, count, sum(rows[:group])) for group, count in enumerate(rows)]


def test_windows_take_whole_pieces_until_the_buffer_is_full():
    found = windows(pieces(4, 4, 4, 4, 1), batch_size=3, buffer_rows=6, rng=None)
    assert [[piece.group for piece in window.pieces] for window in found] == [[0, 1], [2, 3, 4]]
    assert [(window.rows, window.steps, window.number) for window in found] == [(8, 3, 0), (9, 3, 1)]


def test_windows_are_of_pieces_in_random_order():
    rng = np.random.default_rng(0)
    found = windows(pieces(*[10] * 20), batch_size=5, buffer_rows=50, rng=rng)
    groups = [piece.group for window in found for piece in window.pieces]
    assert groups != list(range(20))
    assert sorted(groups) == list(range(20))


@given(st.integers(1, 400), st.integers(1, 50), st.integers(0, 5))
def test_steps_are_of_equal_size_within_two_and_no_larger_than_a_batch(rows, batch_size, seed):
    steps = -(-rows // batch_size)
    counts = np.bincount(shuffled_steps(rows, steps, np.random.default_rng(seed)), minlength=steps)
    assert counts.sum() == rows
    assert counts.max() <= batch_size
    assert counts.max() - counts.min() <= 2
    assert counts.min() > 0


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 5), st.integers(0, 3))
def test_the_shares_of_all_workers_make_up_the_steps(rows, batch_size, world, seed):
    steps = -(-rows // batch_size)
    world = min(world, rows)
    step_of = shuffled_steps(rows, steps, np.random.default_rng(seed))
    per_rank = [list(shares(step_of, steps, rank, world)) for rank in range(world)]
    for step in range(steps):
        of_step = [per_rank[rank][step] for rank in range(world)]
        places = [
            stretch(rows, rank, world)[0] + row
            for rank, share in enumerate(of_step)
            if share.factor
            for row in share.rows
        ]
        assert places == np.flatnonzero(step_of == step).tolist()
        assert sum(share.factor for share in of_step) == pytest.approx(1)
        assert {share.total for share in of_step} == {len(places)}
        sizes = [len(share.rows) if share.factor else 0 for share in of_step]
        assert max(sizes) - min(sizes) <= 3
        assert [share.offset for share in of_step if share.factor] == [
            sum(sizes[:rank]) for rank in range(world) if sizes[rank]
        ]


def test_a_worker_without_a_row_in_a_step_has_one_that_does_not_count():
    step_of = np.array([0, 0, 1, 1], np.int32)
    share = next(shares(step_of, 2, 1, 2))
    assert share.rows.tolist() == [0]
    assert share.factor == 0


def test_in_order_the_rows_stay_as_they_are():
    found = [(batch, share.rows.tolist(), share.offset, share.total) for batch, share in shares_in_order(5, 2)]
    assert found == [(0, [0, 1], 0, 2), (1, [2, 3], 0, 2), (2, [4], 0, 1)]
    assert list(shares_in_order(0, 2)) == []


def test_in_order_the_batches_of_a_part_are_parts_of_those_of_the_whole():
    found = [(batch, share.rows.tolist(), share.offset, share.total) for batch, share in shares_in_order(8, 3, 4, 8)]
    assert found == [(1, [0, 1], 1, 3), (2, [2, 3], 0, 2)]
    assert list(shares_in_order(8, 3, 4, 4)) == []
