"""The one function of scipy.optimize that tracking needs, got without the package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamseg.tracking.assignment import linear_sum_assignment, solver_of


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (4, 7), (30, 12)])
def test_it_is_scipys(shape: tuple[int, int]) -> None:
    from scipy import optimize

    cost = np.random.default_rng(3).normal(size=shape)
    for found, expected in zip(
        linear_sum_assignment(cost), optimize.linear_sum_assignment(cost), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("folder", [None, Path("not there")])
def test_without_the_extension_the_package_is_used(folder: Path | None) -> None:
    from scipy import optimize

    assert solver_of(folder) is optimize.linear_sum_assignment


@pytest.mark.slow
def test_tracking_starts_without_the_package() -> None:
    code = "import sys, streamseg.tracking.tracker; print('scipy.optimize' in sys.modules);"
    code += (
        "import scipy.optimize; print(scipy.optimize.linear_sum_assignment([[2, 1]]))"  # and both go together
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "False"
    assert done.stdout.split("\n")[1] == "(array([0]), array([1]))"
