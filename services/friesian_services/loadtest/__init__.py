"""Load on a running recommender, and what it answers: the client behind `friesian loadtest`."""
