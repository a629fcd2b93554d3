"""The recall service: the nearest items of a user."""
