"""The tables that the operations are benched on: the walkthrough's kinds of columns, seeded, with known answers.

``base`` has unique ids of 32 letters, texts of few and of 200k values, lists of links that are nearly all new, counts;
``hist`` 100 clicks of each user; ``listed`` the same clicks with the up to ten before each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from friesian_fast.usecases.recsys2021.records import draw_ids

LANGUAGES, STRINGS, CLICKS, HISTORY, ITEMS, FILES = 65, 200_000, 100, 10, 50_000, 4
COUNTS = ["cnt1", "cnt2", "cnt3", "cnt4"]
_MEDIA = ["", "GIF", "Photo", "Video", "Photo_Photo", "Photo_Video"]
_TYPES = ["Quote", "Retweet", "TopLevel"]
_MOST_LINKS = 10


def write_data(directory: Path, rows: int, seed: int = 0) -> None:
    """Write ``base``, ``hist`` and ``listed``, each as a directory of Parquet files.

    Parameters
    ----------
    directory : Path
    rows : int
        Of `base` and `hist`; a multiple of 400.
    seed : int
    """
    rng = np.random.default_rng(seed)
    strings = draw_ids(rng, min(STRINGS, rows // 5))
    languages = draw_ids(rng, LANGUAGES)
    clicks = _clicks(rng, rows // CLICKS)
    for number in range(FILES):
        _write(directory / "base", number, _base(rng, rows // FILES, strings, languages))
        part = {name: np.array_split(values, FILES)[number] for name, values in clicks.items()}
        order = rng.permutation(len(part["user"]))
        _write(directory / "hist", number, {name: pa.array(values[order]) for name, values in part.items()})
        _write(directory / "listed", number, listed(part))


def listed(clicks: dict[str, np.ndarray], most: int = HISTORY) -> dict[str, pa.Array]:
    """Clicks in the order of user and time → those with any before them, and the last `most` of these."""
    place = np.arange(len(clicks["user"])) % CLICKS
    sizes = np.minimum(place, most)
    starts = np.arange(len(place)) - sizes
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    values = clicks["item"][np.repeat(starts, sizes) + within]
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))
    later = place > 0
    columns = {
        "user": pa.array(clicks["user"]),
        "item": pa.array(clicks["item"]),
        "item_hist_seq": lists,
        "time": pa.array(clicks["time"]),
        "label": pa.array(clicks["label"]),
    }
    return {name: column.filter(pa.array(later)) for name, column in columns.items()}


def _base(rng: np.random.Generator, rows: int, strings: pa.Array, languages: pa.Array) -> dict[str, pa.Array]:
    links = rng.integers(0, _MOST_LINKS + 1, rows)
    offsets = pa.array(np.concatenate([[0], np.cumsum(links)]), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, draw_ids(rng, int(links.sum())))
    return {
        "tweet_id": draw_ids(rng, rows),
        "language": languages.take(pa.array(rng.integers(0, len(languages), rows))),
        "media": pa.array(_MEDIA).take(pa.array(rng.integers(0, len(_MEDIA), rows))),
        "type": pa.array(_TYPES).take(pa.array(rng.integers(0, len(_TYPES), rows))),
        "type_id": pa.array(rng.integers(1, len(_TYPES) + 1, rows), pa.int32()),
        "str200k": strings.take(pa.array(rng.integers(0, len(strings), rows))),
        "present_links": pc.binary_join(lists, ","),
        "label": pa.array(rng.integers(0, 2, rows), pa.int32()),
        **{name: pa.array(rng.integers(0, 10_001, rows), pa.int32()) for name in COUNTS},
    }


def _clicks(rng: np.random.Generator, users: int) -> dict[str, np.ndarray]:
    """Sorted by user and time; the times of a user differ."""
    count = users * CLICKS
    return {
        "user": np.repeat(np.arange(1, users + 1, dtype=np.int32), CLICKS),
        "item": rng.integers(1, ITEMS, count, dtype=np.int32),
        "time": np.cumsum(rng.integers(1, 100, count)),
        "label": rng.integers(0, 2, count, dtype=np.int32),
    }


def _write(directory: Path, number: int, columns: dict[str, pa.Array]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), directory / f"part-{number}.parquet", row_group_size=1 << 17)
