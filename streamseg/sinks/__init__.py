"""Outputs: one file per kind, each a Sink (`base.py`)."""
