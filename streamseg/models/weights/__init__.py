"""Weights files: ours and the published layouts."""
