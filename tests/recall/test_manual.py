"""The manual's page on filters: what it shows is what happens."""

import doctest
from pathlib import Path


def test_the_examples_of_the_page():
    page = Path(__file__).parents[2] / "docs" / "filters_and_rules.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 15
    assert failed == 0
