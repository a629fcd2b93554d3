"""Feature engineering on Spark: column-local operations are recorded and run as one native Arrow stage."""

from friesian_fast.feature.arithmetic import ArithmeticTable
from friesian_fast.feature.categorical import CategoricalTable
from friesian_fast.feature.embed import EmbedTable
from friesian_fast.feature.explain import ExplainTable
from friesian_fast.feature.functions import FunctionTable
from friesian_fast.feature.ids import IdsTable
from friesian_fast.feature.numeric import NumericTable
from friesian_fast.feature.profile import ProfileTable
from friesian_fast.feature.readers import ReadersTable
from friesian_fast.feature.relational import RelationalTable
from friesian_fast.feature.rows import RowsTable
from friesian_fast.feature.sampling import SamplingTable
from friesian_fast.feature.sequence import SequenceTable
from friesian_fast.feature.shaping import ShapingTable
from friesian_fast.feature.specs import SpecTable
from friesian_fast.feature.string_index import StringIndex
from friesian_fast.feature.target import TargetTable
from friesian_fast.feature.target_code import TargetCode

__all__ = ["FeatureTable", "StringIndex", "Table", "TargetCode"]


class Table(ShapingTable, ArithmeticTable, RowsTable):
    """A Spark DataFrame with the methods that need no features.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
    """


class FeatureTable(
    Table,
    NumericTable,
    CategoricalTable,
    IdsTable,
    TargetTable,
    RelationalTable,
    SamplingTable,
    SequenceTable,
    FunctionTable,
    ReadersTable,
    SpecTable,
    ExplainTable,
    ProfileTable,
    EmbedTable,
):
    """A table of features: a Spark DataFrame at any time, and the operations recorded since it was one.

    Parameters
    ----------
    df : pyspark.sql.DataFrame

    Examples
    --------
    >>> table = FeatureTable.read_parquet("logs")  # doctest: +SKIP
    >>> table = table.hash_encode("user", bins=1000).cut_bins("age", [18, 30, 50])  # doctest: +SKIP
    >>> table.write_parquet("features")  # one native pass over the files  # doctest: +SKIP
    """
