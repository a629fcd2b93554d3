"""Wide & Deep ranking and two-tower retrieval on the Twitter RecSys 2021 schema, from generated data."""
