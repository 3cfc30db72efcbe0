"""Engines: pure functions from frames to instance tensors, one file per runtime."""
