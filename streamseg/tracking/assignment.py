"""scipy's linear_sum_assignment, without the rest of scipy.optimize.

Importing that package takes a third of the CPU time between the start of `streamseg run` and its first frame
(0.8 of 2.5 s, two cores) for one function, which is an extension module of its own. Where scipy keeps it
elsewhere, the package is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["linear_sum_assignment"]

Solver = Callable[..., tuple[NDArray[np.intp], NDArray[np.intp]]]
NAME = "scipy.optimize._lsap"


def solver_of(folder: Path | None) -> Solver:
    """linear_sum_assignment of the extension in `folder`, scipy/optimize; else of the package."""
    places = [folder / f"{NAME.split('.')[-1]}{suffix}" for suffix in EXTENSION_SUFFIXES] if folder else []
    place = next((path for path in places if path.is_file()), None)
    if place is None:
        return import_module("scipy.optimize").linear_sum_assignment  # type: ignore[no-any-return]
    loader = ExtensionFileLoader(NAME, str(place))
    module = module_from_spec(ModuleSpec(NAME, loader, origin=str(place)))
    loader.exec_module(module)
    return module.linear_sum_assignment  # type: ignore[no-any-return]


def _installed() -> Path | None:
    scipy = find_spec("scipy")
    return Path(scipy.origin).parent / "optimize" if scipy is not None and scipy.origin else None


linear_sum_assignment: Solver = solver_of(_installed())
