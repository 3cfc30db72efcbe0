"""The API over real HTTP: every route, what it takes, what it refuses, what it says of itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from .conftest import SCENE, eventually, newest

ENDLESS = 1_000_000


@pytest.fixture(scope="module")
def scene(served):
    """The id of a source that delivers."""
    source_id = served.add(SCENE.format(1, ENDLESS))
    eventually(lambda: served.source(source_id)["delivered"] > 3)
    return source_id


def picture_of(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_the_status_says_what_runs(served, scene):
    status = served.status()
    assert status["engine"] == "squares"
    assert status["runtime"] == "fake 20 ms"
    assert status["classes"] == ["shape", "thing"]
    [source] = [one for one in status["sources"] if one["id"] == scene]
    assert source["state"] == "live"
    assert (source["width"], source["height"]) == (192, 144)
    assert source["captured"] >= source["delivered"] > 0
    assert source["spec"] == SCENE.format(1, ENDLESS)


def test_a_source_comes_changes_and_goes(served):
    source_id = served.add(SCENE.format(5, 8))
    assert eventually(lambda: served.source(source_id)["state"] == "ended")
    changed = served.ask("PUT", f"/api/sources/{source_id}", json={"spec": SCENE.format(6, 6)})
    assert changed.status_code == 200, changed.text
    eventually(lambda: served.source(source_id)["delivered"] == 6)
    assert served.source(source_id)["spec"] == SCENE.format(6, 6)
    assert served.ask("DELETE", f"/api/sources/{source_id}").status_code == 200
    gone = served.ask("GET", f"/api/sources/{source_id}")
    assert gone.status_code == 404
    assert gone.json()["error"].startswith(f"there is no source '{source_id}'")
    assert f"render {source_id}" not in served.job.pipeline


def test_a_clip_is_ordered_or_refused(served, monkeypatch):
    source_id = served.add(SCENE.format(8, 5))
    one = f"/api/sources/{source_id}"
    answer = served.ask("POST", f"{one}/clips")
    assert answer.status_code == 422
    assert answer.json()["error"] == "a clip needs a folder: recording.clips (--clips)"
    assert served.ask("POST", "/api/sources/none/clips").status_code == 404
    ordered = []
    monkeypatch.setattr(served.job, "clip", ordered.append)
    assert served.ask("POST", f"{one}/clips").json()["sources"]
    assert ordered == [source_id]
    assert served.ask("DELETE", one).status_code == 200


def test_two_of_one_name_are_told_apart(served):
    one, other = served.add(SCENE.format(7, 5)), served.add(SCENE.format(7, 5))
    assert (one, other) == ("synthetic-7", "synthetic-7-2")
    for source_id in (one, other):
        assert served.ask("DELETE", f"/api/sources/{source_id}").status_code == 200


@pytest.mark.parametrize(
    "spec",
    [
        "file:///etc/passwd", "/etc/passwd", "../../etc/passwd", "concat:/etc/passwd", "exec:ls",
        "subfile,,start,0,end,9,,:/etc/passwd", "udp://0.0.0.0:1", "tcp://10.0.0.1:22", "0", "/dev/video0",
        "gopher://x/", "rtsp://", "http://host:99999/", "data:,x", "pipe:0",
    ],
)  # fmt: skip
def test_what_may_not_be_added_is_refused(served, spec):
    before = served.status()["sources"]
    answer = served.ask("POST", "/api/sources", json={"spec": spec})
    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]
    assert "root:" not in answer.text
    assert [one["id"] for one in served.status()["sources"]] == [one["id"] for one in before]


def test_a_file_is_added_from_an_allowed_folder_only(serve, tmp_path):
    allowed = tmp_path / "clips"
    allowed.mkdir()
    cv2.imwrite(str(allowed / "a.png"), np.zeros((64, 64, 3), np.uint8))
    (allowed / "out.png").symlink_to(tmp_path / "secret.png")
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((64, 64, 3), np.uint8))
    run = serve(serve={"folders": [str(allowed)]})
    source_id = run.add(str(allowed))
    eventually(lambda: run.source(source_id)["captured"] >= 1)
    for spec in (str(allowed / "out.png"), f"file://{allowed}/out.png", str(allowed / ".." / "secret.png")):
        answer = run.ask("POST", "/api/sources", json={"spec": spec})
        assert answer.status_code == 422, spec
    missing = run.ask("POST", "/api/sources", json={"spec": str(allowed / "none.mp4")})
    assert missing.json()["error"].endswith(f"files may be added from {allowed}")


def test_a_password_is_masked_kept_and_never_sent_elsewhere(served, free_port):
    secret = f"rtsp://admin:hunter2@127.0.0.1:{free_port}/one"
    source_id = served.add(secret)
    masked = served.source(source_id)["spec"]
    assert masked == f"rtsp://admin:***@127.0.0.1:{free_port}/one"
    assert "hunter2" not in served.ask("GET", "/api/status").text
    path = f"/api/sources/{source_id}"
    other_path = masked.replace("/one", "/two")
    assert served.ask("PUT", path, json={"spec": other_path}).status_code == 200
    assert served.job.streams[source_id].spec == secret.replace("/one", "/two")
    stolen = served.ask("PUT", path, json={"spec": other_path.replace("127.0.0.1", "127.0.0.2")})
    assert stolen.status_code == 422
    assert served.job.streams[source_id].spec == secret.replace("/one", "/two")
    assert served.ask("DELETE", path).status_code == 200


def test_thresholds_change_what_is_shown(served, scene):
    page = f"/api/sources/{scene}"

    def shown(count):
        with served.viewer() as viewer:
            eventually(lambda: len(newest(viewer, scene)["frame"]["instances"]) == count)

    shown(1)
    assert served.ask("PATCH", "/api/thresholds", json={"score": 0.95}).status_code == 200
    shown(0)
    answer = served.ask("PATCH", "/api/thresholds", json={"score": 0.3, "classes": ["thing"]})
    assert answer.json()["thresholds"]["classes"] == ["thing"]
    assert answer.json()["thresholds"]["score"] == 0.3
    shown(0)
    unknown = served.ask("PATCH", "/api/thresholds", json={"classes": ["shaep"]})
    assert unknown.status_code == 422
    assert "did you mean 'shape'?" in unknown.json()["error"]
    served.ask("PATCH", "/api/thresholds", json={"classes": []})
    shown(1)
    assert served.ask("GET", page).status_code == 200


def test_pictures_are_clean_or_painted(served, scene):
    path = f"/api/sources/{scene}/picture.jpg"
    clean = served.ask("GET", path)
    assert clean.headers["content-type"] == "image/jpeg"
    picture = picture_of(clean.content)
    assert picture.shape == (144, 192, 3)

    def tinted() -> bool:
        """The square in the middle, which is found from the second frame on."""
        painted = picture_of(served.ask("GET", f"{path}?painted").content)
        return cv2.absdiff(picture, painted)[60:84, 80:112].mean() > 20

    eventually(tinted)


def test_without_javascript_pictures_move(served, scene):
    assert f"/api/sources/{scene}/stream.mjpg?painted" in served.ask("GET", "/?painted").text
    with served.ask("GET", f"/api/sources/{scene}/stream.mjpg?painted", stream=True) as answer:
        text = b""
        for chunk in answer.iter_content(4096):
            text += chunk
            if text.count(b"\xff\xd9\r\n--streamseg-picture") >= 3:
                break
    parts = text.split(b"--streamseg-picture\r\n")[1:3]
    assert [picture_of(part.split(b"\r\n\r\n", 1)[1]).shape for part in parts] == [(144, 192, 3)] * 2


def test_metrics_are_what_the_status_says(served, scene):
    before = served.source(scene)["delivered"]
    text = served.ask("GET", "/metrics").text
    metrics = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in metrics.values()
        for sample in family.samples
    }
    after = served.source(scene)["delivered"]
    label = ("source", scene)
    assert before <= samples["streamseg_frames_delivered_total", label] <= after
    assert samples["streamseg_source_state", label, ("state", "live")] == 1
    assert samples["streamseg_age_seconds", ("quantile", "0.99"), label] > 0
    assert samples["streamseg_frames_dropped_total", ("cause", "overrun"), label] == 0
    assert samples["streamseg_reconnects_total", label] == 0


def test_health_follows_the_live_sources(serve, free_port):
    run = serve(sources=[f"rtsp://127.0.0.1:{free_port}/dead"], serve={"healthy_seconds": 0.5})
    eventually(lambda: run.ask("GET", "/healthz").status_code == 503)
    answer = run.ask("GET", "/healthz")
    assert answer.json()["error"] == f"no frame for 0.5 s from a live source: 127.0.0.1-{free_port}-dead"
    [source] = run.status()["sources"]
    assert (source["live"], source["state"]) == (True, "connecting")
    assert "connection refused" in source["detail"]
    assert run.ask("DELETE", f"/api/sources/{source['id']}").status_code == 200
    assert run.ask("GET", "/healthz").json() == {"ok": True}


def test_it_is_ready_when_the_engine_is(serve):
    run = serve()
    eventually(lambda: run.ask("GET", "/readyz").status_code == 200)
    run.job.runtime = "loading"
    assert run.ask("GET", "/readyz").status_code == 503


def test_bodies_that_make_no_sense_are_named(served):
    for body, said in (
        (b"{", "the body: Invalid JSON"),
        (b"[]", "the body: Input should be an object"),
        (b'{"spec": 3}', "spec: Input should be a valid string"),
        (b'{"spec": "a", "x": 1}', "x: Extra inputs are not permitted"),
    ):
        answer = served.ask("POST", "/api/sources", data=body)
        assert answer.status_code == 422
        assert answer.json()["error"].startswith(said)
    assert served.ask("POST", "/api/sources", data=b" " * 70_000).status_code == 413
    assert served.ask("PATCH", "/api/thresholds", json={"score": 7}).status_code == 422


def test_every_route_is_in_the_document_and_answers_as_it_says(served, scene):
    document = served.ask("GET", "/api/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    throwaway = served.add(SCENE.format(9, 3))
    bodies = {"post": {"spec": SCENE.format(8, 3)}, "put": {"spec": SCENE.format(10, 3)}, "patch": {}}
    bodies["put rule"] = {"polygon": [[0, 0], [1, 0], [1, 1]]}
    seen = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "delete" and path.endswith("{source_id}"):
                continue  # last, below
            address = path.replace("{source_id}", throwaway if method == "put" else scene)
            address = address.replace("{kind}", "zones").replace("{name}", "a zone")
            which = f"{method} rule" if "rules" in path else method
            body = bodies.get(which) if "requestBody" in operation else None
            with served.ask(method.upper(), address, json=body, stream=True) as answer:
                assert str(answer.status_code) in operation["responses"], (method, path, answer.status_code)
                refused = path.endswith("/clips")  # nothing is recorded in this run
                assert (answer.status_code == 422) if refused else answer.status_code < 300, (method, path)
                content = operation["responses"][str(answer.status_code)].get("content", {})
                media = answer.headers.get("content-type", "").split(";")[0]
                assert not content or media in {one.split(";")[0] for one in content}, path
            seen.add((method, path))
    assert served.ask("DELETE", f"/api/sources/{throwaway}").status_code == 200
    api = served.job.companions[1]._server._api
    routes = {(one.method.lower(), one.path) for one in api.endpoints}
    assert seen | {("delete", "/api/sources/{source_id}")} == routes
    schemas = document["components"]["schemas"]
    assert {"RunStatus", "SourceStatus", "NewSource", "KeptInstances", "Problem"} <= set(schemas)
    assert set(served.status()) == set(schemas["RunStatus"]["properties"])


@pytest.mark.slow
def test_an_engine_that_is_outrun_is_said_to_be(serve, monkeypatch):
    monkeypatch.setattr("streamseg.streaming.ladder._WINDOW_S", 0.3)
    run = serve(sources=[SCENE.format(1, ENDLESS)], drop="oldest", max_age_s=0.1, latency_s=0.2)
    eventually(lambda: run.status()["rung"] == 2)
    assert "streamseg_ladder_rung 2.0" in run.ask("GET", "/metrics").text
    with run.viewer() as viewer:
        assert newest(viewer, "synthetic-1")["frame"]["coasted"]
