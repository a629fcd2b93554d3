"""A pytest plugin (``-p tests.sanitized_core``): the tests run on the extension that ``FRIESIAN_CORE`` names."""

import importlib.util
import os
import sys

_NAME = "friesian_fast._core"
_spec = importlib.util.spec_from_file_location(_NAME, os.environ["FRIESIAN_CORE"])
sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules[_NAME])
