"""Sources of frames, one file per kind; `open.open_source` chooses."""
