"""Raw transactions to feature rows, purchases to learn from and the spec: nothing after the split reaches a feature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console

from friesian_fast._files import replacing_directory
from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError
from friesian_fast.train.files import save_json
from friesian_fast.usecases.online_retail.data import clean, find_data, read_transactions
from friesian_fast.usecases.online_retail.examples import examples, purchases
from friesian_fast.usecases.online_retail.features import Vocabularies, feature_spec, item_features, user_features

SPLIT = pd.Timestamp("2011-11-01")
# The ranker learns what was bought from here to the split, on features and towers from before.
LEARN_FROM = pd.Timestamp("2011-10-01")
REPORT = "meta/prepare.json"
POPULAR_DAYS = 28  # the fallback list counts sales of this long before the split

console = Console(highlight=False, soft_wrap=True)


@reported
def main(
    out: Annotated[Path, typer.Option("--out", help="Directory to write; replaced if it is there.")] = Path("prepared"),
    data: Annotated[Path | None, typer.Option("--data", help="The transactions: .parquet, .xlsx or .csv.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sampled non-purchases.")] = 0,
) -> None:
    """Clean the transactions, split them at 2011-11-01, and write features and examples.

    Example: friesian online_retail prepare --data "Online Retail.xlsx" --out prepared
    """
    path = find_data(data)
    _require_replaceable(out, path)
    console.print(f"reading {path}")
    lines = read_transactions(path)
    sales, dropped = clean(lines)
    report: dict[str, Any] = {"rows": len(lines), "dropped": dropped, "sales": len(sales)}
    with replacing_directory(out) as partial:
        (partial / "meta").mkdir()
        report |= write_tables(sales, partial, seed)
        save_json(report, partial / REPORT)
    console.print(f"{len(lines):,} rows, {len(sales):,} of them sales of products to known customers")
    for name, value in report.items():
        console.print(f"  {name}: {value}")


def _require_replaceable(out: Path, data: Path) -> None:
    """Only what an earlier run made is replaced, and not if the transactions lie in it."""
    if out.is_dir() and any(out.iterdir()) and not (out / REPORT).is_file():
        raise InvalidInputError(f"{out} holds other things than prepared tables; name an empty or new --out")
    if out.resolve() in data.resolve().parents:
        raise InvalidInputError(f"{data} lies in {out}, which would be replaced; name another --out")


def write_tables(sales: pd.DataFrame, out: Path, seed: int) -> dict[str, int]:
    """Write everything that training and publishing read; returns the numbers of rows."""
    before, after = sales[sales["time"] < SPLIT], sales[sales["time"] >= SPLIT]
    if before.empty or after.empty:
        raise InvalidInputError(
            f"the sales reach from {sales['time'].min()} to {sales['time'].max()}; both sides of {SPLIT:%Y-%m-%d} "
            "need some: use the whole file"
        )
    vocabularies = Vocabularies(before)
    feature_spec(vocabularies).save(out / "meta" / "spec.json")
    end = sales["time"].max() + pd.Timedelta(days=1)
    users, items = _features(sales, SPLIT, end, vocabularies)
    earlier_users, earlier_items = _features(sales, LEARN_FROM, SPLIT, vocabularies)
    recent = before[before["time"] >= SPLIT - pd.Timedelta(days=POPULAR_DAYS)]
    tables = {
        "user": users,
        "item": items,
        "test": examples(sales, users, items, SPLIT, end, seed),
        "learn_user": earlier_users,
        "learn_item": earlier_items,
        "learn_purchases": purchases(sales, earlier_users, earlier_items, LEARN_FROM, SPLIT),
        "purchases": before[["user_id", "item_id", "time"]],
        "test_purchases": _bought_after(after, users),
        "recent": recent[["user_id", "item_id"]].drop_duplicates(),
        "catalogue": before.drop_duplicates("item_id")[["item_id", "description"]].sort_values("item_id"),
    }
    for name, table in tables.items():
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), out / f"{name}.parquet")
    return {name: len(table) for name, table in tables.items()}


def _features(
    sales: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, vocabularies: Vocabularies
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """User and item features as of `start`, of use to learn or measure what was bought from there to `end`."""
    if not (sales["time"] < start).any():
        raise InvalidInputError(f"there is no sale before {start:%Y-%m-%d} to make features from; use the whole file")
    users, items = user_features(sales, start, vocabularies), item_features(sales, start, vocabularies)
    if purchases(sales, users, items, start, end).empty:
        raise InvalidInputError(
            f"no user with history bought a known item from {start:%Y-%m-%d} to {end:%Y-%m-%d}; use the whole file"
        )
    return users, items


def _bought_after(after: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    """All that users with history bought after the split, items never sold before it included."""
    pairs = after.loc[after["user_id"].isin(users["user_id"]), ["user_id", "item_id"]].drop_duplicates()
    return pairs.sort_values(["user_id", "item_id"], ignore_index=True)


if __name__ == "__main__":
    typer.run(main)
