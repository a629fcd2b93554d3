"""The work of the scale bench, a process of its own: ``python -m bench.e2e.scale_run INPUT OUTPUT``.

Ten texts to ids, three crosses of them, two hashes, four counts scaled, a list kept: Parquet to Parquet.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.e2e.scale_data import COUNTS, TEXTS

from friesian_fast.feature import FeatureTable
from friesian_fast.feature.session import stop_session


def run(source: Path, target: Path) -> None:
    """Read, fit, transform, write."""
    table = FeatureTable.read_parquet(source)
    indices = table.gen_string_idx(TEXTS)
    crosses = [[TEXTS[0], TEXTS[1]], [TEXTS[6], TEXTS[7]], [TEXTS[2], TEXTS[3], TEXTS[4]]]
    table = table.cross_hash_encode(crosses, [1000, 100_000, 10_000])
    table = table.hash_encode(TEXTS[8:], 100_000).encode_string(TEXTS[:8], indices[:8])
    table, _ = table.min_max_scale(COUNTS)
    table.write_parquet(target)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
    stop_session()
