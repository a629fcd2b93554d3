"""A pytest plugin (``-p tests.sanitized_core``): the tests run on the extension that ``FRIESIAN_CORE`` names.

The sanitizer's library is preloaded for this process, not for those it starts.
"""

import importlib.util
import os
import sys

os.environ.pop("LD_PRELOAD", None)
_NAME = "friesian_fast._core"
_spec = importlib.util.spec_from_file_location(_NAME, os.environ["FRIESIAN_CORE"])
sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules[_NAME])
