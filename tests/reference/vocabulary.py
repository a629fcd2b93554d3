"""Slow, plain versions of the vocabulary kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


def java_split(text: str, separator: str) -> list[str]:
    """Java's String.split: trailing empty pieces are dropped, but an empty text is one piece."""
    if text == "":
        return [""]
    pieces = text.split(separator)
    while pieces and pieces[-1] == "":
        pieces.pop()
    return pieces


def count(strings: Iterable[str | None], separator: str | None = None) -> Counter[str]:
    known = [text for text in strings if text is not None]
    if separator is None:
        return Counter(known)
    return Counter(piece for text in known for piece in java_split(text, separator))


def finish(counts: Mapping[str, int], freq_limit: int = 1) -> list[tuple[str, int]]:
    kept = [(value, number) for value, number in counts.items() if number >= freq_limit]
    return sorted(kept, key=lambda pair: (-pair[1], pair[0].encode()))


def lookup(ids: Mapping[str, int], strings: Iterable[str | None]) -> list[int]:
    return [0 if text is None else ids.get(text, 0) for text in strings]


def lookup_split_min(ids: Mapping[str, int], strings: Iterable[str | None], separator: str) -> list[int]:
    pieces = [[] if text is None else java_split(text, separator) for text in strings]
    return [min((ids[piece] for piece in row if piece in ids), default=0) for row in pieces]
