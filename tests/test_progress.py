"""Long work in a program of one's own: lines in the log, none where nobody listens."""

import logging

from streamseg.progress import LogWatcher


def test_lines_go_to_the_log_at_info_and_progress_nowhere(caplog):
    watcher = LogWatcher()
    watcher.say("not heard 100 %")
    with caplog.at_level(logging.INFO, "streamseg"):
        watcher.say("exporting 100 %")
        watcher.progress("frames", 1, None)
    assert caplog.record_tuples == [("streamseg", logging.INFO, "exporting 100 %")]
