"""Finds the transactions, reads them, and keeps the sales of products to known customers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from friesian_fast.errors import InvalidInputError, MissingExtraError, NotFoundError

FILE_NAMES = (
    "online_retail.parquet",
    "Online Retail.xlsx",
    "online_retail.xlsx",
    "online_retail.csv",
    "Online Retail.csv",
)
SOURCE = (
    'the UCI Machine Learning Repository has it as "Online Retail" (Chen, Sain and Guo 2012, doi:10.1057/dbm.2012.17)'
)
TEXT_COLUMNS = ("InvoiceNo", "StockCode", "Description", "Country")
NUMBER_COLUMNS = ("Quantity", "UnitPrice", "CustomerID")
COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS, "InvoiceDate")

# Products carry five digits and up to two letters (colour or size). All else is postage, fees, samples, vouchers,
# corrections by hand and the like: POST, DOT, M, D, S, C2, BANK CHARGES, AMAZONFEE, CRUK, PADS, gift_0001_20, DCGS…
PRODUCT_CODE = r"\d{5}[A-Z]{0,2}"
SALE_INVOICE = r"\d+"  # a cancellation starts with C, a bad-debt adjustment with A


def find_data(data: Path | None = None) -> Path:
    """The transactions: `data` (a file or its directory), else ``FRIESIAN_DATA_DIR``, else ``../shared/data``.

    The last is looked for beside the working directory, every directory above it, and this checkout.
    """
    if data is not None and data.is_file():
        return data
    if data is not None and not data.exists():
        raise NotFoundError(f"there is no {data}; correct --data. To get the transactions: {SOURCE}")
    looked = [data] if data is not None else list(_directories())
    for directory in looked:
        for name in FILE_NAMES:
            if (directory / name).is_file():
                return directory / name
    places = ", ".join(str(directory) for directory in looked)
    raise NotFoundError(
        f"the Online Retail transactions are not there: looked for {FILE_NAMES[0]} or '{FILE_NAMES[1]}' in {places}. "
        f"Get them, {SOURCE}, and name the file with --data or its directory with FRIESIAN_DATA_DIR"
    )


def _directories() -> Iterator[Path]:
    if named := os.environ.get("FRIESIAN_DATA_DIR"):
        yield Path(named)
    here = Path.cwd()
    checkout = Path(__file__).resolve().parents[4]
    yield from dict.fromkeys(base.parent / "shared" / "data" for base in (here, *here.parents, checkout))


def read_transactions(path: Path) -> pd.DataFrame:
    """Read the Parquet, Excel or CSV form, one row per invoice line.

    Returns
    -------
    pandas.DataFrame
        ``COLUMNS``: text as str, numbers as float64, ``InvoiceDate`` as datetime64.
    """
    try:
        read = _READERS[path.suffix.lower()]
    except KeyError:
        raise InvalidInputError(f"{path} is neither .parquet, .xlsx nor .csv; {SOURCE}") from None
    try:
        frame = read(path)
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "all") from error
    except Exception as error:  # pandas, pyarrow and openpyxl have no common base for "cannot read"
        raise InvalidInputError(f"{path} cannot be read ({error}); get the file again, {SOURCE}") from error
    if missing := [name for name in COLUMNS if name not in frame.columns]:
        raise InvalidInputError(
            f"{path} has no column '{missing[0]}'; it has {', '.join(map(str, frame.columns))}. "
            f"The transactions have {', '.join(COLUMNS)}"
        )
    return _typed(path, frame[list(COLUMNS)])


_READERS: dict[str, Any] = {
    ".parquet": pd.read_parquet,
    ".xlsx": pd.read_excel,
    ".csv": lambda path: pd.read_csv(path, encoding="latin-1", dtype=dict.fromkeys(TEXT_COLUMNS, str)),
}


def _typed(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    typed = {}
    for name in COLUMNS:
        try:
            if name in TEXT_COLUMNS:
                typed[name] = frame[name].astype("string").astype(object)
            elif name in NUMBER_COLUMNS:
                typed[name] = pd.to_numeric(frame[name]).astype("float64")
            else:
                typed[name] = pd.to_datetime(frame[name])
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"{path}: column '{name}' holds a value of the wrong kind ({error})") from error
    return pd.DataFrame(typed)


def clean(lines: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep what is a sale of a product to a known customer.

    Parameters
    ----------
    lines : pandas.DataFrame
        As from `read_transactions`.

    Returns
    -------
    sales : pandas.DataFrame
        ``user_id`` int64, ``item_id`` str, ``description`` str, ``invoice`` str, ``quantity`` and ``price`` float64,
        ``country`` str, ``time`` datetime64; ordered by time, invoice, item.
    dropped : dict of rule to number of rows it dropped
        In the order in which the rules apply.
    """
    codes = lines["StockCode"].astype("string").str.strip().str.upper()
    invoices = lines["InvoiceNo"].astype("string").str.strip()
    rules = {
        "cancelled or adjusted": invoices.str.fullmatch(SALE_INVOICE),
        "no customer": lines["CustomerID"].notna(),
        "no date": lines["InvoiceDate"].notna(),
        "quantity not above 0": lines["Quantity"] > 0,
        "price not above 0": lines["UnitPrice"] > 0,
        "not a product": codes.str.fullmatch(PRODUCT_CODE),
    }
    if lines.empty:
        raise InvalidInputError(f"the transactions have no rows; get the file again, {SOURCE}")
    keep = pd.Series(True, index=lines.index)
    dropped = {}
    for rule, passes in rules.items():
        passes = passes.fillna(False).astype(bool)
        dropped[rule] = int((keep & ~passes).sum())
        keep &= passes
    if not keep.any():
        raise InvalidInputError(f"no row is a sale of a product to a known customer; rows dropped: {dropped}")
    sales = pd.DataFrame(
        {
            "user_id": lines["CustomerID"][keep].astype("int64"),
            "item_id": codes[keep].astype(object),
            "description": _tidy(lines["Description"][keep]),
            "invoice": invoices[keep].astype(object),
            "quantity": lines["Quantity"][keep],
            "price": lines["UnitPrice"][keep],
            "country": lines["Country"][keep].fillna("Unspecified"),
            "time": lines["InvoiceDate"][keep],
        }
    )
    sales["description"] = sales["item_id"].map(one_description(sales))
    return sales.sort_values(["time", "invoice", "item_id"], kind="stable", ignore_index=True), dropped


def one_description(sales: pd.DataFrame) -> pd.Series:
    """Item → the description it was sold under most often; of equals the first in the alphabet."""
    counts = sales.groupby(["item_id", "description"]).size().rename("rows").reset_index()
    counts = counts.sort_values(["item_id", "rows", "description"], ascending=[True, False, True])
    return counts.drop_duplicates("item_id").set_index("item_id")["description"]


def _tidy(descriptions: pd.Series) -> pd.Series:
    return descriptions.fillna("").str.upper().str.replace(r"\s+", " ", regex=True).str.strip()
