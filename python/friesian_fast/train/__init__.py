"""Training of Keras and PyTorch models, in one process, in several or on Spark, and the export of what was trained.

`Estimator` trains any model. The use cases train the library's models in memory: `runtime.use_cores`,
`table.read_columns`, `models.inputs.check_columns`, a model of `friesian_fast.models`, `loop.fit`, `export.save_keras`,
`export.save_serving`, `export.export_onnx`, `files.save_json`. Some modules of this package import TensorFlow, so only
offline code imports it.
"""

from friesian_fast.train.estimator import Estimator
from friesian_fast.train.job import EarlyStopping
from friesian_fast.train.loggers import MLflowLog, TensorBoardLog
from friesian_fast.train.negatives import Negatives

__all__ = ["EarlyStopping", "Estimator", "MLflowLog", "Negatives", "TensorBoardLog"]
