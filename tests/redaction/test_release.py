"""The choke point: what is on either side of it, and that there is no other way."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamseg.redaction import Redacted, Unreleased
from streamseg.redaction.release import FILL, released
from streamseg.structures import Frame, Instances, Redaction, Result, Tracks

PACKAGE = Path(__file__).parents[2] / "streamseg"
WHAT = Redaction({"person": 1}, 0, (), None)


def unreleased(height=20, width=30):
    image = np.random.default_rng(1).integers(60, 255, (height, width, 3)).astype(np.uint8)
    instances = Instances.empty((height, width))
    result = Result(Frame(image, 3, 0.1, 0, "cam"), instances, Tracks.untracked(instances), ("person",))
    return Unreleased(result, instances, 0)


def test_cells_are_filled_and_nothing_else_changes():
    item = unreleased(21, 30)
    hidden = np.zeros((3, 4), np.uint8)  # cells of 8 pixels reach beyond the frame
    hidden[2, 3] = hidden[0, 1] = 1
    out = released(item, hidden, 8, np.zeros(0, np.intp), WHAT).frame.image
    truth = item.result.frame.image.copy()
    truth[16:, 24:] = truth[:8, 8:16] = FILL
    assert np.array_equal(out, truth)


def test_the_source_picture_is_neither_changed_nor_kept_where_all_is_hidden():
    item = unreleased()
    before = item.result.frame.image.copy()
    out = released(item, np.ones((3, 4), np.uint8), 8, np.zeros(0, np.intp), WHAT)
    assert (out.frame.image == FILL).all()
    assert np.array_equal(item.result.frame.image, before)
    assert not np.shares_memory(out.frame.image, item.result.frame.image)


def test_a_redacted_result_cannot_be_made_elsewhere_nor_given_another_frame():
    item = unreleased()
    raw = item.result
    with pytest.raises(TypeError, match="only the redactor"):
        Redacted(raw.frame, raw.instances, raw.tracks, raw.class_names)
    out = released(item, np.ones((3, 4), np.uint8), 8, np.zeros(0, np.intp), WHAT)
    with pytest.raises(TypeError, match="only the redactor"):
        replace(out, frame=raw.frame)
    drawn = replace(out, canvas=out.frame.image.copy())
    assert isinstance(drawn, Redacted)
    assert not isinstance(item, Result)


TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for folder in (
        "redaction",
        "streaming",
        "serving",
        "sinks",
        "overlay",
        "jobs",
        "events",
        "records",
        "cli",
    )
    for path in (PACKAGE / folder).glob("*.py")
}


def calls_of(name):
    """Modules in which something of this name is called."""
    return {
        path
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name == (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
    }


def test_there_is_one_maker_and_one_way():
    assert calls_of("Redacted") == {"redaction/release.py"}
    assert calls_of("_Seal") == {"redaction/release.py"}
    assert calls_of("released") == {"redaction/redactor.py"}
    assert calls_of("Redactor") == {"streaming/redact.py"}
    assert calls_of("Unreleased") == {"streaming/redact.py"}
    # In a run results are made by the tracker's stage alone, and that stage is opened by what lets them go.
    # (`certify` and records read again make theirs of what is no run.)
    assert calls_of("Result") == {"streaming/follow.py", "jobs/certify.py", "records/block.py"}
    assert calls_of("Follow") == {"streaming/job.py"}
    job = (PACKAGE / "streaming/job.py").read_text(encoding="utf-8")
    assert job.count("_open_follow") == 2  # its definition, and where it is handed over
    assert "TrackStage(self._open_follow" in job


def test_only_the_engine_reads_what_sources_give():
    """No other part of a job is given the output of a source: packets or frames as they came."""
    job = ast.parse((PACKAGE / "streaming/job.py").read_text(encoding="utf-8"))
    users = {
        function.name
        for function in ast.walk(job)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_add_source"
    }
    assert users == {"_connect", "add_source"}
