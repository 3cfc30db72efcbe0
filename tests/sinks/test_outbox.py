import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from streamseg.errors import SinkError
from streamseg.sinks.outbox import Outbox

KILLED = """
import os, signal, sys
from pathlib import Path
from streamseg.sinks.outbox import Outbox
box = Outbox(Path(sys.argv[1]))
for k in range(5):
    box.put([("cam/door", f"message {k}")])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_messages_leave_in_the_order_they_came(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "deep" / "box.sqlite")
    box.put([("a", "1"), ("b", "2")])
    box.put([("c", "3")])
    left = []
    while (message := box.first()) is not None:
        left.append(message[1:])
        box.taken(message[0])
    assert left == [("a", "1"), ("b", "2"), ("c", "3")]
    assert (tmp_path / "deep" / "box.sqlite").stat().st_mode & 0o777 == 0o600
    box.close()
    box.close()


def test_what_was_put_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -9
    box = Outbox(path)
    assert box.counts() == {"waiting": 5, "refused": 0}
    assert box.first() == (1, "cam/door", "message 0")
    box.close()


def test_of_more_than_the_most_the_oldest_are_lost_and_counted(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.sqlite", most=3)
    box.put([("t", str(k)) for k in range(5)])
    assert (box.counts()["waiting"], box.lost) == (3, 2)
    assert box.first() == (3, "t", "2")
    box.close()


def test_what_is_refused_is_put_aside_with_its_reason(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "box.sqlite")
    box.put([("t", "bad"), ("t", "good")])
    box.refuse(1, "answered 400")
    assert box.counts() == {"waiting": 1, "refused": 1}
    assert box.first() == (2, "t", "good")
    with sqlite3.connect(box.path) as base:
        assert base.execute("SELECT body, reason FROM refused").fetchall() == [("bad", "answered 400")]
    base.close()
    box.close()


def test_two_programs_use_one_file(tmp_path: Path) -> None:
    one, other = Outbox(tmp_path / "box.sqlite"), Outbox(tmp_path / "box.sqlite")
    one.put([("t", "1")])
    assert other.first() == (1, "t", "1")
    other.say("no answer")
    other.taken(1)
    assert (one.first(), one.trouble()) == (None, "no answer")
    one.close()
    other.close()


def test_a_file_that_is_no_outbox_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    path.write_text("holiday pictures, of which there are more than a hundred bytes" * 3)
    with pytest.raises(SinkError, match=r"box.sqlite: no outbox that can be read \(.*\); move it away"):
        Outbox(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file"):
        Outbox(tmp_path / "file" / "box.sqlite")
