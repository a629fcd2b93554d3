"""The feature service: packed rows by id. A second one, `feature_recall`, holds the vectors."""
