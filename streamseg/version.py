"""The version of streamseg, as pyproject.toml and every file it writes have it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
