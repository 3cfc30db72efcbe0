"""How good masks and identities are, against ground truth."""

from __future__ import annotations

import importlib.util

from streamseg.errors import MissingDependency

__all__ = ["require_packages"]


def require_packages() -> None:
    """Raise MissingDependency where a package that scores is not installed; call it before the modules here
    are imported."""
    for package in ("pycocotools", "trackeval"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency.of(package, "models", "streamseg eval")
