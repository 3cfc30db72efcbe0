"""The account: whole, changed, cut off."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from streamseg.cli import app
from streamseg.errors import ConfigError
from streamseg.jobs.audit import verify_audit
from streamseg.redaction.audit_sink import AuditSink
from streamseg.structures import Frame, Instances, Redaction, Result, Tracks

HW = (4, 6)


def result_of(index, what, source="cam"):
    none = Instances.empty(HW)
    frame = Frame(np.zeros((*HW, 3), np.uint8), index, index / 10, 0, source)
    return Result(frame, none, Tracks.untracked(none), ("person",), redaction=what)


@pytest.fixture
def account(tmp_path):
    path = tmp_path / "run.audit"
    sink = AuditSink(path, {"redact": {"classes": ["person"]}, "engine": {"sha256": "ab"}})
    for index in range(25):
        filled = "start" if index < 2 else None
        sink.write(
            result_of(index, Redaction({"person": 1 + index % 3}, 1, (7,) if index > 20 else (), filled))
        )
    sink.close()
    return path


def test_it_says_what_was_covered_filled_and_revealed_each_second(account):
    lines = [json.loads(line) for line in account.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["start", "frames", "frames", "frames", "end"]
    assert lines[0]["engine"] == {"sha256": "ab"}
    assert lines[1]["frames"] == 10
    assert lines[1]["filled"] == {"start": 2}
    assert lines[1]["most_covered"] == {"person": 3}
    assert lines[3]["revealed"] == {"7": 4}
    assert lines[4]["totals"] == {
        "cam": {"frames": 25, "filled": 2, "with_something_covered": 25, "with_something_revealed": 4}
    }


def test_a_whole_one_is_verified_on_the_command_line(account):
    done = CliRunner().invoke(app, ["audit", "verify", str(account)])
    assert done.exit_code == 0
    assert "whole, 5 lines about 25 frames" in done.output


@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_the_line_that_was_changed_is_named(account, line):
    lines = account.read_bytes().splitlines(keepends=True)
    key, other = (b"person", b"parson") if line == 1 else (b'"frames":', b'"frames" :')
    assert key in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(key, other)
    account.write_bytes(b"".join(lines))
    with pytest.raises(ConfigError, match=rf"run.audit: line {line}: is not the one"):
        verify_audit(str(account))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "line 4: the account is cut off after it"),
        (lambda lines: [*lines[:-1], lines[-1][:-9]], "line 5: is cut off"),
        (lambda lines: lines[:2] + lines[3:], "line 3: says it is line 4"),
        (lambda lines: lines[1:], "line 1: says it is line 2"),
        (lambda lines: [*lines[:2], b"[" * 100_000 + b"\n"], "line 3: is not JSON"),
        (lambda lines: [*lines[:2], b"7\n"], "line 3: is not a line of an account"),
        (lambda lines: [], "line 1: there is none"),
    ],
)
def test_what_was_cut_off_or_left_out_is_named(account, change, said):
    account.write_bytes(b"".join(change(account.read_bytes().splitlines(keepends=True))))
    with pytest.raises(ConfigError, match=said):
        verify_audit(str(account))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        verify_audit(str(tmp_path / "none"))
