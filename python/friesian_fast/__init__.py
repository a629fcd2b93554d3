"""From raw interaction logs to an answering recommender, on ordinary CPUs."""

from friesian_fast.errors import FriesianError, InvalidInputError

__version__ = "0.1.0"

__all__ = ["FriesianError", "InvalidInputError", "__version__"]
