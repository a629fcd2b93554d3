"""Training of Keras and PyTorch models, in one process, in several or on Spark, and the export of what was trained.

`Estimator` trains any model. A use case adds: `runtime.use_cores`, a model of `friesian_fast.models`,
`forward.predict`, `export.save_keras`, `export.save_serving`, `export.export_onnx`, `files.save_json`. Some modules of
this package import TensorFlow, so only offline code imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from friesian_fast.train.estimator import Estimator
    from friesian_fast.train.job import EarlyStopping
    from friesian_fast.train.loggers import MLflowLog, TensorBoardLog
    from friesian_fast.train.negatives import Negatives

__all__ = ["EarlyStopping", "Estimator", "MLflowLog", "Negatives", "TensorBoardLog"]

# Loaded when they are asked for: a use case that only writes a JSON file needs none of them.
_MODULES = {
    "EarlyStopping": "job",
    "Estimator": "estimator",
    "MLflowLog": "loggers",
    "Negatives": "negatives",
    "TensorBoardLog": "loggers",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
