"""Outlines and follows every object in live video."""

__version__ = "0.1.0"
