"""Raw transactions to feature rows, sales to learn from and the spec: nothing after the split reaches a feature."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console

from friesian_fast._files import replacing_directory
from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.train.files import save_json
from friesian_fast.usecases.online_retail.data import clean, find_data, read_transactions
from friesian_fast.usecases.online_retail.features import Vocabularies, feature_spec, item_features, user_features

SPLIT = "2011-11-01"
_DAY = "%Y-%m-%d"
REPORT = "meta/prepare.json"
POPULAR_DAYS = 14  # the fallback list counts sales of this long before the split

console = Console(highlight=False, soft_wrap=True)


@reported
def main(
    out: Annotated[Path, typer.Option("--out", help="Directory to write; replaced if it is there.")] = Path("prepared"),
    data: Annotated[Path | None, typer.Option("--data", help="The transactions: .parquet, .xlsx or .csv.")] = None,
    split: Annotated[
        datetime, typer.Option("--split", formats=[_DAY], help="Learn from before, measure on what comes after.")
    ] = SPLIT,  # type: ignore[assignment]  # typer parses it
    until: Annotated[
        datetime | None, typer.Option("--until", formats=[_DAY], help="Nothing from this day on; all if left out.")
    ] = None,
) -> None:
    """Clean the transactions, split them, and write features and sales.

    To tune, validate on the month before: --split 2011-10-01 --until 2011-11-01.

    Example: friesian online_retail prepare --data "Online Retail.xlsx" --out prepared
    """
    path = find_data(data)
    _require_replaceable(out, path)
    console.print(f"reading {path}")
    lines = read_transactions(path)
    sales, dropped = clean(lines)
    if until is not None:
        sales = sales[sales["time"] < until]
    report: dict[str, Any] = {"rows": len(lines), "dropped": dropped, "sales": len(sales), "split": f"{split:{_DAY}}"}
    with replacing_directory(out) as partial:
        (partial / "meta").mkdir()
        report["tables"] = write_tables(sales, partial, pd.Timestamp(split))
        save_json(report, partial / REPORT)
    console.print(f"{len(lines):,} rows, {len(sales):,} of them sales of products to known customers")
    for name, value in report.items():
        console.print(f"  {name}: {value}")


def read_split(data_dir: Path) -> pd.Timestamp:
    """Where the tables in `data_dir` were split.

    Raises
    ------
    NotFoundError, InvalidInputError
        If they are not there, or of an older version.
    """
    path = data_dir / REPORT
    if not path.is_file():
        raise NotFoundError(f"there is no {path}; run the prepare step first")
    try:
        return pd.Timestamp(json.loads(path.read_text(encoding="utf-8"))["split"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{path} does not say where the sales were split; run the prepare step again"
        ) from error


def _require_replaceable(out: Path, data: Path) -> None:
    """Only what an earlier run made is replaced, and not if the transactions lie in it."""
    if out.is_dir() and any(out.iterdir()) and not (out / REPORT).is_file():
        raise InvalidInputError(f"{out} holds other things than prepared tables; name an empty or new --out")
    if out.resolve() in data.resolve().parents:
        raise InvalidInputError(f"{data} lies in {out}, which would be replaced; name another --out")


def write_tables(sales: pd.DataFrame, out: Path, split: pd.Timestamp) -> dict[str, int]:
    """Write everything that training and publishing read; returns the numbers of rows."""
    before, after = sales[sales["time"] < split], sales[sales["time"] >= split]
    if before.empty or after.empty:
        raise InvalidInputError(
            f"the sales reach from {sales['time'].min()} to {sales['time'].max()}; both sides of {split:%Y-%m-%d} "
            "need some: use the whole file"
        )
    vocabularies = Vocabularies(before)
    feature_spec(vocabularies).save(out / "meta" / "spec.json")
    users, items = user_features(sales, split, vocabularies), item_features(sales, split, vocabularies)
    bought, newcomers = _bought_after(after, users)
    if bought.empty:
        raise InvalidInputError(f"no user with history bought anything after {split:%Y-%m-%d}; use the whole file")
    recent = before[before["time"] >= split - pd.Timedelta(days=POPULAR_DAYS)]
    tables = {
        "user": users,
        "item": items,
        "sales": before,
        "test_purchases": bought,
        "recent": recent[["user_id", "item_id"]].drop_duplicates(),
        "catalogue": before.drop_duplicates("item_id")[["item_id", "description"]].sort_values("item_id"),
    }
    if len(newcomers):
        tables["newcomers"] = newcomers
    for name, table in tables.items():
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), out / f"{name}.parquet")
    return {name: len(table) for name, table in tables.items()}


def _bought_after(after: pd.DataFrame, users: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All that users with history bought after the split, items never sold before it included; and what others did."""
    pairs = after[["user_id", "item_id"]].drop_duplicates().sort_values(["user_id", "item_id"])
    known = pairs["user_id"].isin(users["user_id"])
    return pairs[known].reset_index(drop=True), pairs[~known].reset_index(drop=True)


if __name__ == "__main__":
    typer.run(main)
