"""Small transactions, and where the real ones are."""

import pandas as pd
import pytest

from friesian_fast.errors import NotFoundError
from friesian_fast.usecases.online_retail.data import find_data

LINE = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "WHITE HEART LIGHT",
    "Quantity": 6.0,
    "InvoiceDate": "2011-05-01 10:00",
    "UnitPrice": 2.55,
    "CustomerID": 17850.0,
    "Country": "United Kingdom",
}


def lines(*changes):
    """One invoice line per change."""
    frame = pd.DataFrame([LINE | change for change in changes])
    frame["InvoiceDate"] = pd.to_datetime(frame["InvoiceDate"], format="mixed")
    return frame


def real_file():
    """The real transactions; without them the test is skipped and says what is missing."""
    try:
        return find_data()
    except NotFoundError as error:
        pytest.skip(str(error))
