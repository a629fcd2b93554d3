"""The HTTP front of the recommender."""
