"""What workers send each other arrives as it was, of any type and shape; here one worker talks to itself."""

import time

import numpy as np
import pytest

from friesian_fast.train import pulse as pulse_module
from friesian_fast.train.comm import Comm, GlooComm, _packed, sum_all


@pytest.fixture(scope="module")
def pulse(tmp_path_factory):
    return tmp_path_factory.mktemp("pulse") / "pulse-0"


@pytest.fixture(scope="module")
def gloo(tmp_path_factory, pulse):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pulse_module, "_BEAT_S", 0.02)
        comm = GlooComm(f"file://{tmp_path_factory.mktemp('meet')}/here", 0, 1, pulse)
        yield comm
        comm.close()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint32", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_the_values_of_rank_0_arrive(gloo, dtype, shape):
    values = np.ones(shape, dtype)
    sent = gloo.same(values)
    assert (sent.dtype, sent.shape) == (values.dtype, shape)
    np.testing.assert_array_equal(sent, values)


def test_sums_keep_types_and_shapes(gloo, monkeypatch):
    monkeypatch.setattr(gloo, "world", 2)  # one worker alone would not be asked
    arrays = [np.float32([[1, 2]]), np.float32(3), np.zeros((0, 4), np.float32)]
    sums = sum_all(gloo, arrays)
    for array, total in zip(arrays, sums, strict=True):
        assert (total.shape, total.dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(total, array)
    assert gloo.sum(np.array(2.0)).shape == ()


def test_rows_of_all_tables_are_gathered_in_two_messages(gloo, monkeypatch):
    messages = []
    gather = gloo._gather
    monkeypatch.setattr(gloo, "_gather", lambda values: messages.append(values) or gather(values))
    tables = [
        (np.array([3, 1]), np.float32([[1, 2], [3, 4]])),
        (np.zeros(0, np.int64), np.zeros((0, 2), np.float32)),
        (np.array([7]), np.float16([5])),
        (np.array([2, 8]), np.arange(12, dtype=np.float64).reshape(2, 3, 2).transpose(0, 2, 1)),
    ]
    found = gloo.gather_rows(tables)
    assert len(messages) == 2
    for (rows, values), (own_rows, own_values) in zip(found, tables, strict=True):
        assert (rows.dtype, values.dtype, values.shape) == (np.int64, own_values.dtype, own_values.shape)
        np.testing.assert_array_equal(rows, own_rows)
        np.testing.assert_array_equal(values, own_values)
    assert gloo.gather_rows([]) == []


def test_rows_of_workers_that_have_more_and_fewer_come_one_after_the_other(gloo, monkeypatch):
    """What three workers sent, as long as the longest."""
    tables = [
        [(np.array(rows), np.float32(rows)[:, None]), (np.array(rows[:1]), np.float64(rows[:1]))]
        for rows in ([4, 2, 9], [5], [])
    ]
    size = len(_packed(tables[0], 48 + 12))
    sent = [np.array([[3, 1], [1, 1], [0, 0]]), np.stack([_packed(own, size) for own in tables])]
    monkeypatch.setattr(gloo, "_gather", lambda values: sent.pop(0))
    (rows, values), (other_rows, other_values) = gloo.gather_rows(tables[0])
    assert rows.tolist() == [4, 2, 9, 5]
    assert values.tolist() == [[4], [2], [9], [5]]
    assert other_rows.tolist() == other_values.tolist() == [4, 5]


def test_what_fills_up_a_message_is_zeros(monkeypatch):
    monkeypatch.setattr(np, "empty", lambda size, dtype: np.full(size, 7, dtype))  # as memory that was used before
    packed = _packed([(np.array([1]), np.zeros((1, 2), np.float32))], 30)
    assert packed.tolist() == [1, *[0] * 29]


def test_who_is_slow_between_steps_is_seen_alive_and_who_hangs_in_one_is_not(gloo, pulse):
    gloo.meet()
    before = pulse.stat().st_mtime_ns
    until = time.monotonic() + 20
    while pulse.stat().st_mtime_ns == before and time.monotonic() < until:  # a slow callback
        time.sleep(0.01)
    assert pulse.stat().st_mtime_ns > before
    with gloo.step():
        time.sleep(0.2)  # for a beat that was under way
        before = pulse.stat().st_mtime_ns
        time.sleep(0.2)
        assert pulse.stat().st_mtime_ns == before


def test_one_alone_has_what_it_says():
    comm = Comm()
    assert comm.sum(np.array([1])).tolist() == comm.same(np.array([1])).tolist() == [1]
