"""Training and prediction as tasks of a Spark barrier stage, from Spark's own tables."""

import numpy as np
import pytest
import torch
from tests.train.train_models import FEATURES, rows, torch_model, torch_optimizer

from friesian_fast.errors import InvalidInputError
from friesian_fast.train import Estimator

FIT = {"feature_cols": FEATURES, "label_cols": "label", "batch_size": 100, "verbose": False}


@pytest.fixture(scope="module")
def spark():
    from friesian_fast.feature.session import get_session

    return get_session("local[2]")


def estimator(**settings):
    return Estimator.from_torch(torch_model, torch_optimizer, torch.nn.BCEWithLogitsLoss(), ["auc"], **settings)


def test_two_tasks_are_one_process_and_read_spark_tables(spark, tmp_path):
    from friesian_fast.feature import FeatureTable

    rows_file = tmp_path / "rows.parquet"
    table = FeatureTable(spark.createDataFrame(rows().to_pandas()).coalesce(1))
    table.write_parquet(str(rows_file))
    told = []
    alone, tasks = estimator(), estimator(backend="spark", workers=2)
    (one,) = alone.fit(FeatureTable.read_parquet(str(rows_file)), **FIT)
    (other,) = tasks.fit(table, callbacks=[lambda epoch, logs: told.append(epoch)], **FIT)
    assert told == [1]
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert other["auc"] == pytest.approx(one["auc"], rel=1e-5)
    for left, right in zip(alone.get_model().parameters(), tasks.get_model().parameters(), strict=True):
        np.testing.assert_allclose(left.detach(), right.detach(), atol=2e-6)
    predicted = alone.predict(spark.createDataFrame(rows(50, 3).to_pandas()))
    assert predicted.columns == ["user", "x", "history", "label", "prediction"]
    assert predicted.size() == 50


def test_more_workers_than_slots_are_refused(spark):
    with pytest.raises(InvalidInputError, match=r"3 workers need 3 task slots at a time and Spark's master local\[2\]"):
        estimator(backend="spark", workers=3).fit(rows(60), **FIT)
