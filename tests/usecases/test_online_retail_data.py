"""Finding, reading and cleaning the transactions, on small frames and on the real file."""

import pandas as pd
import pytest
from tests.usecases.online_retail import lines, real_file

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.usecases.online_retail import data
from friesian_fast.usecases.online_retail.data import COLUMNS, clean, find_data, read_transactions


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"InvoiceNo": "C536365"}, "cancelled or adjusted"),
        ({"InvoiceNo": "A563185"}, "cancelled or adjusted"),
        ({"InvoiceNo": None}, "cancelled or adjusted"),
        ({"CustomerID": None}, "no customer"),
        ({"InvoiceDate": None}, "no date"),
        ({"Quantity": -1.0}, "quantity not above 0"),
        ({"Quantity": None}, "quantity not above 0"),
        ({"UnitPrice": 0.0}, "price not above 0"),
        ({"StockCode": "POST"}, "not a product"),
        ({"StockCode": "D"}, "not a product"),
        ({"StockCode": "M"}, "not a product"),
        ({"StockCode": "BANK CHARGES"}, "not a product"),
        ({"StockCode": "C2"}, "not a product"),
        ({"StockCode": "gift_0001_20"}, "not a product"),
    ],
)
def test_each_rule_drops_its_row_and_counts_it(change, rule):
    sales, dropped = clean(lines({}, change))
    assert len(sales) == 1
    assert {name: count for name, count in dropped.items() if count} == {rule: 1}


def test_a_sale_comes_out_tidy():
    sales, _ = clean(lines({"StockCode": " 85123a ", "Description": "  white   heart\tlight "}))
    row = sales.iloc[0]
    assert (row["item_id"], row["description"], row["user_id"]) == ("85123A", "WHITE HEART LIGHT", 17850)
    assert sales["user_id"].dtype == "int64"


def test_an_item_has_one_description_the_most_frequent():
    sales, _ = clean(
        lines(
            {"Description": "B"},
            {"Description": "A"},
            {"Description": "C"},
            {"Description": "C"},
            {"StockCode": "10002"},
        )
    )
    assert sales[sales["item_id"] == "85123A"]["description"].unique().tolist() == ["C"]
    tied, _ = clean(lines({"Description": "B"}, {"Description": "A"}))
    assert tied["description"].unique().tolist() == ["A"]


def test_sales_are_in_the_order_of_time():
    sales, _ = clean(lines({"InvoiceDate": "2011-05-02"}, {"InvoiceDate": "2011-05-01", "StockCode": "10002"}))
    assert sales["item_id"].tolist() == ["10002", "85123A"]


def test_nothing_left_is_an_error_that_counts():
    with pytest.raises(InvalidInputError, match="no row is a sale .*'no customer': 1"):
        clean(lines({"CustomerID": None}))


def test_a_file_without_rows_is_named():
    with pytest.raises(InvalidInputError, match="the transactions have no rows"):
        clean(lines({}).iloc[:0])


def test_the_file_is_looked_for_in_order(tmp_path, monkeypatch):
    named, home = tmp_path / "named", tmp_path / "project" / "demo"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    named.mkdir()
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRIESIAN_DATA_DIR", str(named))
    monkeypatch.setattr(data, "__file__", str(tmp_path / "a/b/c/d/e/f.py"))
    with pytest.raises(NotFoundError, match=f"{named}.*UCI Machine Learning Repository.*10.1057/dbm.2012.17"):
        find_data()
    shared = tmp_path / "shared" / "data" / "online_retail.parquet"
    shared.touch()
    assert find_data() == shared
    (named / "Online Retail.xlsx").touch()
    assert find_data() == named / "Online Retail.xlsx"
    assert find_data(shared) == shared
    assert find_data(shared.parent) == shared
    with pytest.raises(NotFoundError, match="missing.parquet"):
        find_data(tmp_path / "missing.parquet")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "xlsx"])
def test_the_three_forms_read_alike(tmp_path, suffix):
    frame = lines({"StockCode": "10002", "Description": "CAFÉ £5"}, {"CustomerID": None, "Description": None})
    path = tmp_path / f"online_retail.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "csv":
        frame.to_csv(path, index=False, encoding="latin-1")
    else:
        frame.assign(InvoiceNo=536365, StockCode=[10002, "85123A"]).to_excel(path, index=False)
    read = read_transactions(path)
    assert list(read.columns) == list(COLUMNS)
    assert read["StockCode"].tolist() == ["10002", "85123A"]
    assert read["InvoiceNo"].tolist() == ["536365", "536365"]
    assert read["Description"][0] == "CAFÉ £5"
    assert read["InvoiceDate"][0] == pd.Timestamp("2011-05-01 10:00")
    assert len(clean(read)[0]) == 1


def test_unusable_files_are_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(InvalidInputError, match="x.parquet cannot be read"):
        read_transactions(tmp_path / "x.parquet")
    (tmp_path / "x.txt").touch()
    with pytest.raises(InvalidInputError, match="neither .parquet, .xlsx nor .csv"):
        read_transactions(tmp_path / "x.txt")
    lines({}).drop(columns="UnitPrice").to_parquet(tmp_path / "y.parquet")
    with pytest.raises(InvalidInputError, match="y.parquet has no column 'UnitPrice'; it has InvoiceNo"):
        read_transactions(tmp_path / "y.parquet")
    lines({}).assign(Quantity=["six"]).to_parquet(tmp_path / "z.parquet")
    with pytest.raises(InvalidInputError, match="z.parquet: column 'Quantity' holds a value of the wrong kind"):
        read_transactions(tmp_path / "z.parquet")


def test_the_real_file_is_cleaned_as_counted_by_hand():
    sales, dropped = clean(read_transactions(real_file()))
    assert len(sales) == 396_337
    assert sales["user_id"].nunique() == 4334
    assert sales["item_id"].nunique() == 3659
    assert sales.groupby("item_id")["description"].nunique().max() == 1
    assert sum(dropped.values()) + len(sales) == 541_909
    assert dropped["cancelled or adjusted"] == 9291
