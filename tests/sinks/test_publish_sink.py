"""Against a real broker (mosquitto) and a real HTTP server."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from streamseg.errors import ConfigError
from streamseg.sinks import publish_sink
from streamseg.sinks.publish_sink import PublishSink
from streamseg.structures import Event

pytestmark = pytest.mark.slow  # each starts a program

EVENT = Event("0123456789abcdef", "line", "gate", "happened", "cam 1", 3, 0.12, 0.02, 7, "person", {})
TOPIC = "cam%201/gate"


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Hook:
    """Answers with `status`, and keeps what it took."""

    def __init__(self, port=0):
        self.status = 204
        self.taken, self.asked, self.types = [], 0, set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.asked += 1
                hook.types.add(self.headers["Content-Type"])
                if hook.status == 204:
                    hook.taken.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def hook():
    hook = Hook()
    yield hook
    hook.stop()


@pytest.fixture
def result_of(make_result):
    """A frame with so many things that happened in it."""

    def result(index, count=1):
        events = tuple(replace(EVENT, id=f"{index:08x}{k:08x}", frame_index=index) for k in range(count))
        return replace(make_result(index, index / 25, source_id="cam 1"), events=events)

    return result


def ids(taken):
    return [event["id"] for event in taken]


def test_a_webhook_gets_every_event_in_order_and_the_end_of_what_goes_on(hook, result_of, tmp_path):
    sink = PublishSink(f"http://127.0.0.1:{hook.port}/hook", tmp_path)
    started = replace(EVENT, id="f" * 16, kind="zone", phase="started")
    sink.write(replace(result_of(0, 2), events=(*result_of(0, 2).events, started)))
    sink.write(result_of(1))
    sink.close()
    sink.close()
    assert ids(hook.taken) == [
        *(f"{0:08x}{k:08x}-happened" for k in range(2)),
        "f" * 16 + "-started",
        f"{1:016x}-happened".replace("0000000000000001", "0000000100000000"),
        "f" * 16 + "-ended",
    ]
    assert hook.types == {"application/cloudevents+json; charset=utf-8"}
    assert sink.counters() == {"events": 5, "waiting": 0, "refused": 0, "lost": 0}


def test_a_hook_that_was_away_gets_what_it_missed(hook, result_of, tmp_path, caplog):
    hook.status = 503
    address = f"http://127.0.0.1:{hook.port}/hook?key=hidden"
    sink = PublishSink(address, tmp_path)
    sink.write(result_of(0))
    until(lambda: hook.asked)
    until(lambda: sink._outbox.trouble())
    with caplog.at_level(logging.WARNING):
        sink.write(result_of(1))
        assert sink.counters()["waiting"] == 2
        hook.status = 204
        until(lambda: len(hook.taken) == 2)
        sink.close()
    assert ids(hook.taken) == [f"{k:08x}{0:08x}-happened" for k in range(2)]
    assert caplog.messages[0].startswith(f"http://127.0.0.1:{hook.port}/hook?key=***: answered 503")
    assert caplog.messages[-1].endswith("events are taken again")


def test_the_next_run_delivers_what_is_left(result_of, tmp_path, free_port, monkeypatch):
    monkeypatch.setattr(
        publish_sink, "DRAIN_SECONDS", 0.5
    )  # of the wait for the program, which is killed then
    address = f"http://127.0.0.1:{free_port}/hook"
    sink = PublishSink(address, tmp_path)
    sink.write(result_of(0))
    sink.close()
    assert sink.counters() == {"events": 1, "waiting": 1, "refused": 0, "lost": 0}
    monkeypatch.undo()
    hook = Hook(free_port)
    try:
        PublishSink(address, tmp_path).close()
        until(lambda: ids(hook.taken) == ["0" * 16 + "-happened"])
    finally:
        hook.stop()


@pytest.mark.parametrize(("status", "words"), [(400, "answered 400"), (422, "answered 422")])
def test_what_is_refused_holds_up_nothing(hook, result_of, tmp_path, status, words):
    hook.status = status
    sink = PublishSink(f"http://127.0.0.1:{hook.port}/", tmp_path)
    sink.write(result_of(0))
    until(lambda: sink.counters()["refused"] == 1)
    hook.status = 204
    sink.write(result_of(1))
    sink.close()
    assert ids(hook.taken) == ["0000000100000000-happened"]
    assert sink.counters() == {"events": 2, "waiting": 0, "refused": 1, "lost": 0}


@pytest.mark.parametrize("status", [401, 302])
def test_a_wrong_password_or_place_is_not_hammered(hook, result_of, tmp_path, status, monkeypatch):
    monkeypatch.setattr(publish_sink, "DRAIN_SECONDS", 0.2)
    hook.status = status
    sink = PublishSink(f"http://127.0.0.1:{hook.port}/", tmp_path)
    sink.write(result_of(0))
    until(lambda: sink._outbox.trouble())
    for k in range(1, 20):
        sink.write(result_of(k))
    assert hook.asked == 1
    sink.close()
    assert sink.counters()["waiting"] == 20


def test_a_program_that_was_killed_is_started_again(hook, result_of, tmp_path, monkeypatch):
    monkeypatch.setattr(publish_sink, "RESTART_SECONDS", 0.0)
    sink = PublishSink(f"http://127.0.0.1:{hook.port}/", tmp_path)
    sink._sender.kill()
    sink._sender.wait()
    sink.write(result_of(0))
    sink.close()
    assert ids(hook.taken) == ["0" * 16 + "-happened"]


class Broker:
    """mosquitto on `port`, and one that listens."""

    def __init__(self, port, folder, *lines):
        self.port, self.config = port, folder / "mosquitto.conf"
        # Without a user it leaves root's rights and cannot read the folder of a test.
        self.config.write_text("\n".join(["user root", f"listener {port} 127.0.0.1", *lines]) + "\n")
        self.start()

    def start(self):
        command = [shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin"), "-c", self.config]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def listen(self, topics, **login):
        """What comes in, as a list that grows."""
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        client, came, ready = paho.Client(CallbackAPIVersion.VERSION2), [], []
        if login:
            client.username_pw_set(**login)
        client.on_message = lambda _c, _d, m: came.append((m.topic, json.loads(m.payload)))
        client.on_connect = lambda c, *_: c.subscribe(topics, qos=1)
        client.on_subscribe = lambda *_: ready.append(True)

        def connected():
            try:
                client.connect("127.0.0.1", self.port)
            except ConnectionRefusedError:
                return False
            return True

        until(connected)
        client.loop_start()
        until(lambda: ready)
        return client, came


@pytest.fixture
def broker(free_port, tmp_path):
    if not shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("needs mosquitto")
    brokers = []

    def make(*lines):
        brokers.append(Broker(free_port, tmp_path, *lines))
        return brokers[0]

    yield make
    for made in brokers:
        made.stop()


def test_a_broker_gets_events_and_home_assistant_learns_of_the_rule(broker, result_of, tmp_path):
    broker = broker("allow_anonymous true")
    client, came = broker.listen("#")
    sink = PublishSink(f"mqtt://127.0.0.1:{broker.port}/yard?discovery=homeassistant", tmp_path)
    sink.write(result_of(0))
    sink.write(result_of(1))
    sink.close()
    until(lambda: len(came) == 3)
    client.loop_stop()
    client.disconnect()
    (config_topic, entity), *events = came
    assert config_topic == f"homeassistant/event/{entity['unique_id']}/config"
    assert entity["state_topic"] == f"yard/{TOPIC}"
    assert (entity["name"], entity["device"]["name"]) == ("gate", "cam 1")
    assert [topic for topic, _ in events] == [f"yard/{TOPIC}"] * 2
    assert ids(event for _, event in events) == [f"{k:08x}{0:08x}-happened" for k in range(2)]


def test_a_broker_that_stops_answering_and_comes_back_gets_all(broker, result_of, tmp_path):
    broker = broker("allow_anonymous true", "persistence false")
    client, came = broker.listen("streamseg/#")
    sink = PublishSink(f"mqtt://127.0.0.1:{broker.port}", tmp_path)
    sink.write(result_of(0))
    until(lambda: came)
    client.loop_stop()
    client.disconnect()
    broker.stop()
    sink.write(result_of(1))
    until(lambda: sink._outbox.trouble())
    broker.start()
    client, came = broker.listen("streamseg/#")
    sink.write(result_of(2))
    until(lambda: len(came) >= 2)
    sink.close()
    client.loop_stop()
    client.disconnect()
    assert list(dict.fromkeys(ids(event for _, event in came))) == [
        f"{k:08x}{0:08x}-happened" for k in (1, 2)
    ]
    assert sink.counters()["waiting"] == 0


def test_a_wrong_password_says_so_and_is_not_printed(broker, result_of, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(publish_sink, "DRAIN_SECONDS", 0.2)
    passwords = tmp_path / "passwords"
    passwords.touch()
    broker = broker(f"password_file {passwords}", "allow_anonymous false")
    sink = PublishSink(f"mqtt://ann:secret@127.0.0.1:{broker.port}", tmp_path)
    sink.write(result_of(0))
    until(lambda: "not authorized" in sink._outbox.trouble())
    with caplog.at_level(logging.WARNING):
        sink.write(result_of(1))
        sink.close()
    assert caplog.messages == ["mqtt://127.0.0.1: not authorized; events wait"]
    arguments = Path(f"/proc/{os.getpid()}/cmdline").read_text() + str(sink._sender.args)
    assert "secret" not in arguments


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "ftp://host/x",
            "an address that begins with http://, https://, mqtt://, mqtts://, kafka:// or kafkas://",
        ),
        ("events.json", "an address that begins with"),
        ("https://", "an address that begins with"),
        ("mqtt://u:hidden@host:99999/", "the port after the host is not a number up to 65535"),
    ],
)
def test_what_cannot_be_published_to_is_one_line(address, words, tmp_path):
    with pytest.raises(ConfigError, match="output.publish") as caught:
        PublishSink(address, tmp_path)
    assert words in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_cure_is_named(tmp_path):
    program = (
        "import sys; sys.modules['paho'] = None\n"
        "from streamseg.sinks.publish_sink import PublishSink\n"
        "PublishSink('mqtt://localhost')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "needs paho: pip install 'streamseg[publish]'" in done.stderr
