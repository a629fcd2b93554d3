"""The manual's pages on tables: what they show is what happens."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["feature_table.md", "migrating.md", *sorted(f"features/{path.name}" for path in (DOCS / "features").iterdir())]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_the_page(spark, page):
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert tried >= 4
    assert failed == 0
