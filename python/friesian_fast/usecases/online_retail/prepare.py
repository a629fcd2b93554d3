"""Raw transactions to feature rows, sales to learn from and the spec: nothing after the split reaches a feature."""

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
from friesian_fast.usecases.online_retail.features import Vocabularies, feature_spec, item_features, user_features

SPLIT = pd.Timestamp("2011-11-01")
REPORT = "meta/prepare.json"
POPULAR_DAYS = 28  # the fallback list counts sales of this long before the split

console = Console(highlight=False, soft_wrap=True)


@reported
def main(
    out: Annotated[Path, typer.Option("--out", help="Directory to write; replaced if it is there.")] = Path("prepared"),
    data: Annotated[Path | None, typer.Option("--data", help="The transactions: .parquet, .xlsx or .csv.")] = None,
) -> None:
    """Clean the transactions, split them at 2011-11-01, and write features and sales.

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
        report["tables"] = write_tables(sales, partial)
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


def write_tables(sales: pd.DataFrame, out: Path) -> dict[str, int]:
    """Write everything that training and publishing read; returns the numbers of rows."""
    before, after = sales[sales["time"] < SPLIT], sales[sales["time"] >= SPLIT]
    if before.empty or after.empty:
        raise InvalidInputError(
            f"the sales reach from {sales['time'].min()} to {sales['time'].max()}; both sides of {SPLIT:%Y-%m-%d} "
            "need some: use the whole file"
        )
    vocabularies = Vocabularies(before)
    feature_spec(vocabularies).save(out / "meta" / "spec.json")
    users, items = user_features(sales, SPLIT, vocabularies), item_features(sales, SPLIT, vocabularies)
    bought = _bought_after(after, users)
    if bought.empty:
        raise InvalidInputError(f"no user with history bought anything after {SPLIT:%Y-%m-%d}; use the whole file")
    recent = before[before["time"] >= SPLIT - pd.Timedelta(days=POPULAR_DAYS)]
    tables = {
        "user": users,
        "item": items,
        "sales": before,
        "test_purchases": bought,
        "recent": recent[["user_id", "item_id"]].drop_duplicates(),
        "catalogue": before.drop_duplicates("item_id")[["item_id", "description"]].sort_values("item_id"),
    }
    for name, table in tables.items():
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), out / f"{name}.parquet")
    return {name: len(table) for name, table in tables.items()}


def _bought_after(after: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    """All that users with history bought after the split, items never sold before it included."""
    pairs = after.loc[after["user_id"].isin(users["user_id"]), ["user_id", "item_id"]].drop_duplicates()
    return pairs.sort_values(["user_id", "item_id"], ignore_index=True)


if __name__ == "__main__":
    typer.run(main)
