"""The reference use cases, one folder each; steps run as ``python -m friesian_fast.usecases.<name>.<step>``."""
