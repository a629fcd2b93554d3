"""The model library: Keras 3 models built from lists of named inputs, usable with any schema.

Importing a module of this package imports Keras, so only offline code does it.
"""
