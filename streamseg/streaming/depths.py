"""How many items may wait before a part. Tested in tests/streaming/test_job.py."""

LIVE = 1
"""Behind the mailbox of a live source a queue would only add age."""
COASTED = 2
"""Where results are moved past the engine, two come at once: what was moved right behind what was found."""
LIVE_SINK = 4
"""Frames that a sink may fall behind for a moment without losing one."""
FILE = 2
SURE = 8
"""Of a sink that must miss nothing; when it is full, its source waits."""
