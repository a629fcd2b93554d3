"""Slow, plain versions of the sequence kernels and of the operations on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

_WORD = 2**64
_STEP = 0x9E3779B97F4A7C15


def mix64(x: int) -> int:
    """The finaliser of SplitMix64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % _WORD
    return x ^ (x >> 31)


def words(key: int) -> Iterator[int]:
    """SplitMix64 started at a key."""
    while True:
        key = (key + _STEP) % _WORD
        yield mix64(key)


def below(stream: Iterator[int], end: int) -> int:
    """Lemire's draw from [0, end): words whose products fall into the unfair rest are left out."""
    for word in stream:
        if word * end % _WORD >= _WORD % end:
            return word * end // _WORD
    raise AssertionError


def mixed_integer(key: int, value: int | None) -> int:
    if value is None:
        return mix64(((~key % _WORD) ^ 0xA0761D6478BD642F) + _STEP & _WORD - 1)
    return mix64(((key ^ value % _WORD) + _STEP) % _WORD)


def draw_negatives(key: int, count: int, excluded: Sequence[int], last_item: int) -> list[int]:
    allowed = [item for item in range(1, last_item + 1) if item not in set(excluded)]
    stream = words(key)
    return [allowed[below(stream, len(allowed))] for _ in range(count)]


def sample_positions(key: int, length: int, times: int, items: int) -> list[list[int]]:
    stream, samples = words(key), []
    for _ in range(times):
        order = list(range(length))
        for i in range(items):
            j = i + below(stream, length - i)
            order[i], order[j] = order[j], order[i]
        samples.append(order[:items])
    return samples


def pad(values: list[Any], seq_len: int, token: Any) -> list[Any]:
    kept = values[-seq_len:]
    return kept + [token] * (seq_len - len(kept))


def mask(values: list[Any], seq_len: int) -> list[int]:
    return [1 if i < len(values) else 0 for i in range(seq_len)]


def add_hist_seq(
    rows: Sequence[dict[str, Any]],
    cols: Sequence[str],
    user: str,
    sort: str,
    min_len: int = 1,
    max_len: int = 100,
    num_seqs: int = 2147483647,
) -> list[dict[str, Any]]:
    """The rows of `add_hist_seq`, users in order; nulls sort first."""

    def ordered(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple((value is not None, value if value is not None else 0) for value in values)

    by_user: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        by_user.setdefault(row[user], []).append(row)
    result = []
    for key in sorted(by_user, key=lambda value: ordered([value])):
        others = [name for name in rows[0] if name not in (user, sort)]
        mine = sorted(by_user[key], key=lambda row: ordered([row[sort], *(row[name] for name in others)]))
        made = []
        for i in range(min_len, len(mine)) if len(mine) > 1 else ():
            row: dict[str, Any] = {}
            for name in [user, *(name for name in mine[i] if name != user)]:
                row[name] = mine[i][name]
                if name in cols:
                    row[f"{name}_hist_seq"] = [other[name] for other in mine[max(0, i - max_len) : i]]
            made.append(row)
        result += made[-num_seqs:]
    return result
