"""Annotated images: read, checked, divided."""

from __future__ import annotations

import importlib.util

from streamseg.errors import MissingDependency

__all__ = ["require_dataset_packages"]


def require_dataset_packages(purpose: str) -> None:
    """Raise MissingDependency where a package that reads annotations is not installed; call it before the
    modules here are imported."""
    for module, package in (("pycocotools", "pycocotools"), ("PIL", "pillow")):
        if importlib.util.find_spec(module) is None:
            raise MissingDependency.of(package, "models", purpose)
