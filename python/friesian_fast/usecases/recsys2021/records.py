"""Random users, tweets and engagements in the challenge's schema, as Arrow columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from friesian_fast.usecases.recsys2021.planted import SignalInputs
from friesian_fast.usecases.recsys2021.schema import LABEL_COLUMNS, LANGUAGES, MEDIA, TWEET_TYPES

_ID_LENGTH = 32
_ID_LETTERS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", dtype=np.uint8)
# Two letters at a time: half the random numbers.
_ID_PAIRS = np.stack([np.repeat(_ID_LETTERS, 36), np.tile(_ID_LETTERS, 36)], axis=1).copy().view(np.uint16).ravel()
_FIRST_SECOND, _LAST_SECOND = 946_656_000, 1_609_430_400
_MOST_FOLLOWERS = 10_000
_MOST_TEXT_TOKENS, _LARGEST_TEXT_TOKEN = 10, 1000
_MOST_HASHTAGS, _MOST_MEDIA, _MOST_LINKS = 50, 9, 10
_TAB = "\t"


@dataclass(frozen=True, slots=True)
class Tweets:
    """Tweets without their author.

    Parameters
    ----------
    columns : dict of str to pa.Array
        The nine columns up to the timestamp.
    inputs : SignalInputs
    """

    columns: dict[str, pa.Array]
    inputs: SignalInputs

    def take(self, rows: NDArray[np.int64]) -> Tweets:
        """The tweets of those rows."""
        return Tweets({name: column.take(rows) for name, column in self.columns.items()}, self.inputs.take(rows))


def draw_ids(rng: np.random.Generator, count: int) -> pa.StringArray:
    """Ids of 32 letters out of [0-9A-Z], practically unique."""
    pairs = rng.integers(0, len(_ID_PAIRS), size=count * _ID_LENGTH // 2, dtype=np.uint16)
    offsets = np.arange(0, (count + 1) * _ID_LENGTH, _ID_LENGTH, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(_ID_PAIRS[pairs]))


def draw_tweets(rng: np.random.Generator, count: int, languages: pa.StringArray) -> Tweets:
    """So many tweets; `languages` are the ids of all languages."""
    hashtags = rng.integers(0, _MOST_HASHTAGS + 1, count)
    links = rng.integers(0, _MOST_LINKS + 1, count)
    domains = rng.integers(0, _MOST_LINKS + 1, count)
    n_media = rng.integers(0, _MOST_MEDIA + 1, count)
    media = rng.integers(0, len(MEDIA), int(n_media.sum()))
    text_lengths = rng.integers(1, _MOST_TEXT_TOKENS + 1, count)
    tweet_type = rng.integers(0, len(TWEET_TYPES), count)
    text_tokens = pa.array([str(i) for i in range(1, _LARGEST_TEXT_TOKEN + 1)])
    text = rng.integers(0, _LARGEST_TEXT_TOKEN, int(text_lengths.sum()))
    first_medium = np.full(count, -1, dtype=np.int64)
    first_medium[n_media > 0] = media[(np.cumsum(n_media) - n_media)[n_media > 0]]
    columns = {
        "text_tokens": _join(text_tokens.take(text), text_lengths),
        "hashtags": _join(draw_ids(rng, int(hashtags.sum())), hashtags),
        "tweet_id": draw_ids(rng, count),
        "present_media": _join(pa.array(MEDIA).take(media), n_media),
        "present_links": _join(draw_ids(rng, int(links.sum())), links),
        "present_domains": _join(draw_ids(rng, int(domains.sum())), domains),
        "tweet_type": pa.array(TWEET_TYPES).take(tweet_type),
        "language": languages.take(rng.integers(0, LANGUAGES, count)),
        "tweet_timestamp": _draw_times(rng, count),
    }
    return Tweets(columns, SignalInputs(tweet_type, first_medium, links, domains))


def draw_users(rng: np.random.Generator, count: int) -> dict[str, pa.Array]:
    """So many users: the five columns that follow a role's prefix."""
    return {
        "id": draw_ids(rng, count),
        "follower_count": pa.array(rng.integers(0, _MOST_FOLLOWERS + 1, count)),
        "following_count": pa.array(rng.integers(0, _MOST_FOLLOWERS + 1, count)),
        "is_verified": pa.array(rng.integers(0, 2, count).astype(bool)),
        "account_creation": _draw_times(rng, count),
    }


def draw_engagements(
    rng: np.random.Generator, count: int, chance: NDArray[np.float64] | None
) -> tuple[dict[str, pa.Array], NDArray[np.bool_]]:
    """The last five columns, and the labels.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
    chance : ndarray of float, shape (count,), or None
        That a record is positive; then each way to have at least one timestamp is as likely. None is the
        original's noise: each timestamp is null by itself, half the time.

    Returns
    -------
    columns : dict of str to pa.Array
    labels : ndarray of bool, shape (count,)
    """
    every_way = 1 << len(LABEL_COLUMNS)
    present = rng.integers(0 if chance is None else 1, every_way, count)
    if chance is not None:
        present = np.where(rng.random(count) < chance, present, 0)
    follows = pa.array(["false", "true"]).take(rng.integers(0, 2, count))
    columns = {"engagee_follows_engager": follows}
    for bit, name in enumerate(LABEL_COLUMNS):
        times = _draw_times(rng, count)
        columns[name] = pc.if_else(pa.array((present >> bit & 1).astype(bool)), times, pa.scalar(None, pa.int64()))
    return columns, present > 0


def _draw_times(rng: np.random.Generator, count: int) -> pa.Array:
    return pa.array(rng.integers(_FIRST_SECOND, _LAST_SECOND + 1, count))


def _join(tokens: pa.StringArray, lengths: NDArray[np.int64]) -> pa.StringArray:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), tokens), _TAB)
