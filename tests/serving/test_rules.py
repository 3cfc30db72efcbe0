"""Rules of events change while the run goes on: by API, and by editing the file they are written in."""

from __future__ import annotations

import json

import pytest

from streamseg.streaming.config_file import ConfigFile

from .conftest import SCENE, eventually, frame_of, runs

TEXT = """\
# the yard
sources:
  - synthetic:1?size=192x144&frames=1000000
events:
  zones:
    # where the square is
    middle: {polygon: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]}   # all of it
serve:
  address: 127.0.0.1:0
"""
MIDDLE = "middle: {polygon: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]}   # all of it\n"
CORNER = {"polygon": [[0.0, 0.0], [0.6, 0.0], [0.6, 0.6], [0.0, 0.6]], "enter": 0.2, "leave": 0.1}


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr("streamseg.streaming.control._LOOK_SECONDS", 0.1)


@pytest.fixture(scope="module")
def served_yard(tmp_path_factory):
    path = tmp_path_factory.mktemp("yard") / "run.yaml"
    path.write_text(TEXT)
    with runs() as start:
        yield start(ConfigFile(str(path), {"drop": "oldest"}))


@pytest.fixture
def live(serve, config_file):
    config_file.write_text(TEXT)
    return serve(ConfigFile(str(config_file), {"drop": "oldest"}))


def events_of(run, rule):
    """Phase and detail of each event of a rule, in order."""
    told = reversed(run.ask("GET", "/api/events").json()["events"])
    return [(e["data"]["phase"], e["data"]["detail"]) for e in told if e["subject"] == rule]


def test_a_rule_is_added_changed_and_taken_out_and_the_others_go_on(live, config_file):
    eventually(lambda: events_of(live, "middle"))
    assert live.ask("PUT", "/api/rules/zones/the corner", json=CORNER).status_code == 200
    corner = f"    the corner: {json.dumps(CORNER)}\n"
    assert config_file.read_text() == TEXT.replace("serve:\n", f"{corner}serve:\n")
    assert ConfigFile(str(config_file), {}).load().events == live.job.config.events
    eventually(lambda: events_of(live, "the corner"))
    assert live.ask("DELETE", "/api/rules/zones/the corner").status_code == 200
    assert config_file.read_text() == TEXT
    phase, detail = eventually(lambda: events_of(live, "the corner")[1:])[0]
    assert (phase, detail["reason"]) == ("ended", "rule removed")
    assert [phase for phase, _ in events_of(live, "middle")] == ["started"]
    assert live.status()["rules"] == {"zones": ["middle"]}
    assert list(live.ask("GET", "/api/rules").json()) == ["zones"]
    assert live.ask("DELETE", "/api/rules/zones/middle").status_code == 200
    assert config_file.read_text() == TEXT.replace(MIDDLE, "{}\n")
    assert ConfigFile(str(config_file), {}).load().events is not None


@pytest.mark.parametrize(
    ("method", "where", "rule", "code", "said"),
    [
        ("PUT", "zones/x", {"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}, 422, "events.zones.x.polygon: "),
        ("PUT", "zones/x", CORNER | {"classes": ["shap"]}, 422, "no class 'shap' (did you mean 'shape'?)"),
        ("PUT", "zones/x", CORNER | {"sources": ["gate"]}, 422, "no source is called 'gate'"),
        ("PUT", "zones/x", CORNER | {"entr": 1}, 422, "unknown key 'events.zones.x.entr' (did you mean"),
        ("PUT", "lines/middle", {"points": [[0, 0], [1, 1]]}, 422, "two rules are called 'middle'"),
        ("PUT", "zones/-", CORNER, 422, "a rule's name is"),
        ("PUT", "zoans/x", CORNER, 404, "there is no rule 'zoans/x'; there are: contacts/NAME"),
        ("DELETE", "zones/x", None, 404, "there is no rule 'x'; there are: middle"),
    ],
)
def test_what_makes_no_sense_changes_nothing(served_yard, method, where, rule, code, said):
    before = served_yard.ask("GET", "/api/rules").json()
    answer = served_yard.ask(method, f"/api/rules/{where}", json=rule)
    assert answer.status_code == code
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert served_yard.ask("GET", "/api/rules").json() == before


def test_an_edited_file_is_followed_and_taken_back_whole(live, config_file):
    eventually(lambda: events_of(live, "middle"))
    gate = "  lines:\n    gate: {points: [[0, 0.5], [1, 0.5]]}\n"
    config_file.write_text(TEXT.replace("serve:", f"{gate}serve:"))
    eventually(lambda: live.status()["rules"] == {"zones": ["middle"], "lines": ["gate"]})
    for bad, said in (
        ("[[0, 0.5]]}", "events.lines.gate.points: a line needs two points"),
        ("[[0, 0.5], [1, 0.5]], classes: [x]}", "rule 'gate': the engine has no class 'x'"),
    ):
        wrong = gate.replace("[[0, 0.5], [1, 0.5]]}", bad)
        config_file.write_text(TEXT.replace("serve:", f"{wrong}serve:").replace("synthetic:1", "synthetic:2"))
        eventually(lambda said=said: said in (live.status()["notice"] or ""))
        assert [one["id"] for one in live.status()["sources"]] == ["synthetic-1"]
        assert live.status()["rules"] == {"zones": ["middle"], "lines": ["gate"]}
    without = TEXT[: TEXT.index("events:")] + TEXT[TEXT.index("serve:") :]
    config_file.write_text(without)
    eventually(lambda: live.status()["rules"] == {})
    eventually(lambda: [phase for phase, _ in events_of(live, "middle")] == ["started", "ended"])


def test_what_cannot_be_written_is_undone(live, config_file):
    config_file.unlink()
    config_file.mkdir()
    answer = live.ask("PUT", "/api/rules/zones/corner", json=CORNER)
    assert answer.status_code == 422
    assert str(config_file) in answer.json()["error"]
    assert live.status()["rules"] == {"zones": ["middle"]}


def test_a_source_that_a_rule_names_stays(live, config_file):
    named = CORNER | {"sources": ["synthetic-1"]}
    assert live.ask("PUT", "/api/rules/zones/corner", json=named).status_code == 200
    for method, body in (("DELETE", None), ("PUT", {"spec": SCENE.format(2, 9)})):
        answer = live.ask(method, "/api/sources/synthetic-1", json=body)
        assert answer.status_code == 422
        assert "rule 'corner': no source is called 'synthetic-1'" in answer.json()["error"]
    assert live.source("synthetic-1")["state"] == "live"


def test_a_run_without_rules_gets_its_first_ones_and_viewers_see_them(serve):
    run = serve(sources=[SCENE.format(1, 1_000_000)], drop="oldest")
    assert run.ask("GET", "/api/rules").json() == {}
    assert run.ask("PUT", "/api/rules/zones/corner", json=CORNER).status_code == 200
    told = eventually(lambda: events_of(run, "corner"))
    assert told[0] == ("started", {"inside": 1, "entered": 1, "left": 0})
    with run.viewer() as viewer:
        viewer.send(json.dumps({"watch": ["synthetic-1"]}))
        heads = {}
        while {"state", "events", "frame"} - set(heads):
            number, head, _ = frame_of(viewer.recv(timeout=30))
            viewer.send(json.dumps({"ack": number}))
            heads |= head
    [mark] = heads["frame"]["marks"]
    assert (mark["name"], mark["line"], mark["active"]) == ("corner", False, True)
    assert mark["points"] == [[0, 0], [115.2, 0], [115.2, 86.4], [0, 86.4]]
    assert [event["subject"] for event in heads["events"]] == ["corner"]
