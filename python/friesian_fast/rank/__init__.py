"""The ranking stage: one score for each row of a model's inputs."""

from friesian_fast.rank.onnx import OnnxRanker
from friesian_fast.rank.ranker import Ranker

__all__ = ["OnnxRanker", "Ranker"]
