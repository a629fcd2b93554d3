"""The operations that can be recorded, one family per file; importing this registers them all."""

from friesian_fast.feature.ops.arithmetic import AddValue, Clip, Log
from friesian_fast.feature.ops.base import Op, Shape, from_json, kind_of, registered, to_json
from friesian_fast.feature.ops.bins import CutBins
from friesian_fast.feature.ops.cast import TYPES, Cast
from friesian_fast.feature.ops.columns import Constant, Drop, Rename, Select
from friesian_fast.feature.ops.draw import Draw, DrawShare, DrawTimes
from friesian_fast.feature.ops.encode import EncodeFixed, EncodeVocabulary
from friesian_fast.feature.ops.fill import FillNull
from friesian_fast.feature.ops.function import Function, name_of
from friesian_fast.feature.ops.hashing import CrossHash, HashBucket
from friesian_fast.feature.ops.keys import RowFold
from friesian_fast.feature.ops.lists import Mask, Pad
from friesian_fast.feature.ops.lookup import LookUp
from friesian_fast.feature.ops.merge import MergeColumns
from friesian_fast.feature.ops.negatives import NegativeHistory, NegativeSamples
from friesian_fast.feature.ops.one_hot import OneHot
from friesian_fast.feature.ops.scale import MinMaxScale, MinMaxScaleList
from friesian_fast.feature.ops.target_code import EncodeTarget
from friesian_fast.feature.ops.unfold import SampleListwise, UnfoldHistory, UnfoldNegatives

__all__ = [
    "TYPES",
    "AddValue",
    "Cast",
    "Clip",
    "Constant",
    "CrossHash",
    "CutBins",
    "Draw",
    "DrawShare",
    "DrawTimes",
    "Drop",
    "EncodeFixed",
    "EncodeTarget",
    "EncodeVocabulary",
    "FillNull",
    "Function",
    "HashBucket",
    "Log",
    "LookUp",
    "Mask",
    "MergeColumns",
    "MinMaxScale",
    "MinMaxScaleList",
    "NegativeHistory",
    "NegativeSamples",
    "OneHot",
    "Op",
    "Pad",
    "Rename",
    "RowFold",
    "SampleListwise",
    "Select",
    "Shape",
    "UnfoldHistory",
    "UnfoldNegatives",
    "from_json",
    "kind_of",
    "name_of",
    "registered",
    "to_json",
]
