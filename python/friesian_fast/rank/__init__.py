"""The ranking stage: one score for each row of a model's inputs."""

from friesian_fast.rank.cascade import CascadeRanker
from friesian_fast.rank.onnx import OnnxHeadRanker, OnnxRanker
from friesian_fast.rank.openvino import OpenvinoRanker
from friesian_fast.rank.ranker import Ranker
from friesian_fast.rank.runtimes import REFERENCE, RUNTIMES, open_ranker, require_runtime
from friesian_fast.rank.saved_model import SavedModelRanker

__all__ = [
    "REFERENCE",
    "RUNTIMES",
    "CascadeRanker",
    "OnnxHeadRanker",
    "OnnxRanker",
    "OpenvinoRanker",
    "Ranker",
    "SavedModelRanker",
    "open_ranker",
    "require_runtime",
]
