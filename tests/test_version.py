"""One version: the package's own, the installed one, the one in what a run writes."""

from importlib.metadata import version

import streamseg
from streamseg.streaming import report


def test_there_is_one_version():
    assert streamseg.__version__ == version("streamseg") == report.__version__
