"""The run follows its edited file, and writes into it what is changed from outside."""

from __future__ import annotations

import pytest

from streamseg.errors import ConfigError
from streamseg.streaming.config_file import ConfigFile

from .conftest import SCENE, eventually

TEXT = """\
# the yard
score: 0.4   # rather sure
sources:
  # left gate
  - synthetic:1?size=192x144&frames=1000000
  - synthetic:2?size=192x144&frames=1000000   # right gate
# where it is seen
serve:
  address: 127.0.0.1:0
"""


def ids(run):
    return [source["id"] for source in run.status()["sources"]]


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr("streamseg.streaming.control._LOOK_SECONDS", 0.1)


@pytest.fixture
def live(serve, config_file):
    config_file.write_text(TEXT)
    return serve(ConfigFile(str(config_file), {"max_frames": None, "drop": "oldest"}))


def test_what_is_added_and_removed_is_in_the_file_and_comments_stay(live, config_file):
    added = live.add(SCENE.format(3, 9))
    assert config_file.read_text() == TEXT.replace(
        "# where it", '  - "synthetic:3?size=192x144&frames=9"\n# where it'
    )
    assert live.ask("DELETE", "/api/sources/synthetic-1").status_code == 200
    assert live.ask("DELETE", f"/api/sources/{added}").status_code == 200
    assert live.ask("PATCH", "/api/thresholds", json={"score": 0.5}).status_code == 200
    line = "  - synthetic:1?size=192x144&frames=1000000\n"
    assert config_file.read_text() == TEXT.replace(line, "").replace("0.4", "0.5")
    assert ConfigFile(str(config_file), {}).load().score == 0.5


def test_an_edited_file_is_followed_and_a_bad_one_is_named(live, config_file):
    config_file.write_text(TEXT.replace("synthetic:2", "synthetic:3").replace("0.4", "0.35"))
    eventually(lambda: ids(live) == ["synthetic-1", "synthetic-3"])
    assert live.status()["thresholds"]["score"] == 0.35
    for bad, said in (
        ("score: 7", "score: input should be less than or equal to 1"),
        ("engine: {path: yolact.onnx}", "engine cannot change while it runs; restart to use it"),
        ("scroe: 0.1", "unknown key 'scroe' (did you mean 'score'?)"),
    ):
        config_file.write_text(f"{bad}\n" + TEXT.replace("score: 0.4   # rather sure\n", ""))
        eventually(lambda said=said: said in (live.status()["notice"] or ""))
    assert ids(live) == ["synthetic-1", "synthetic-3"]
    assert live.status()["thresholds"]["score"] == 0.35
    config_file.write_text(TEXT)
    eventually(lambda: live.status()["notice"] is None)
    assert ids(live) == ["synthetic-1", "synthetic-2"]


def test_one_that_cannot_be_added_takes_the_whole_edit_back(live, config_file, tmp_path):
    new = f"  - synthetic:7?size=192x144&frames=5\n  - {tmp_path}/none.mp4\n"
    config_file.write_text(TEXT.replace("score: 0.4", "score: 0.6").replace("# where", f"{new}# where"))
    eventually(lambda: "none.mp4: no such file" in (live.status()["notice"] or ""))
    assert ids(live) == ["synthetic-1", "synthetic-2"]
    assert live.status()["thresholds"]["score"] == 0.4


def test_what_cannot_be_written_is_undone(live, config_file):
    config_file.write_text(TEXT.replace("sources:", "sources: &all"))
    answer = live.ask("POST", "/api/sources", json={"spec": SCENE.format(3, 9)})
    assert answer.status_code in (201, 422)
    config_file.unlink()
    config_file.mkdir()
    before = ids(live)
    answer = live.ask("POST", "/api/sources", json={"spec": SCENE.format(4, 9)})
    assert answer.status_code == 422
    assert str(config_file) in answer.json()["error"]
    assert ids(live) == before
    assert live.ask("PATCH", "/api/thresholds", json={"score": 0.9}).status_code == 422
    assert live.status()["thresholds"]["score"] == 0.4


def test_flags_win_and_are_not_written(serve, config_file):
    config_file.write_text(TEXT)
    run = serve(ConfigFile(str(config_file), {"sources": [SCENE.format(5, 1_000_000)], "score": 0.2}))
    run.add(SCENE.format(6, 5))
    assert run.ask("PATCH", "/api/thresholds", json={"score": 0.5, "double_iou": 0.8}).status_code == 200
    assert config_file.read_text() == f"{TEXT}double_iou: 0.8\n"


def test_a_broken_configuration_is_an_error_at_the_start(config_file):
    config_file.write_text("scroe: 1\n")
    with pytest.raises(ConfigError, match="unknown key 'scroe'"):
        ConfigFile(str(config_file), {}).load()
