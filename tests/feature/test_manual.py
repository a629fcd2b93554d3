"""The manual's pages on tables: what they show is what happens."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "page", ["feature_table.md", *(f"features/{p.name}" for p in (DOCS / "features").glob("*.md"))]
)
def test_the_examples_of_the_page(spark, page):
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert tried > 10
    assert failed == 0
