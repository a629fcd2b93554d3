"""The manual's page on tables: what it shows is what happens."""

import doctest
from pathlib import Path


def test_the_examples_of_the_page(spark):
    page = Path(__file__).parents[2] / "docs" / "feature_table.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 20
    assert failed == 0
