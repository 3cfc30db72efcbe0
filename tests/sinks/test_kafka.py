"""Kafka's protocol over loopback, spoken with the mock cluster inside librdkafka: a real broker is a Java
program, which neither PyPI nor Debian has. The mock asks for no password."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from streamseg.errors import ConfigError
from streamseg.sinks.delivery import Later, Refused
from streamseg.sinks.destinations import check_destination, open_destination
from streamseg.sinks.publish_sink import PublishSink
from streamseg.structures import Event

kafka = pytest.importorskip("confluent_kafka", reason="needs the extra `kafka`")

EVENT = Event("0123456789abcdef", "line", "gate", "happened", "cam 1", 3, 0.12, 0.02, 7, "person", {})
CLUSTER = """
import sys
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
(broker,) = cluster.list_topics(timeout=30).brokers.values()
print(broker.port, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cluster():
    """A process with a broker in it, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process, int(process.stdout.readline())
    process.kill()
    process.communicate()


def taken(port, count):
    """So many messages of the topic `yard`."""
    consumer = kafka.Consumer(
        {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["yard"])
    got, until = [], time.monotonic() + 60
    while len(got) < count:
        assert time.monotonic() < until, got
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            got.append(message)
    consumer.close()
    return got


@pytest.fixture
def result_of(make_result):
    def result(index):
        event = replace(EVENT, id=f"{index:016x}", frame_index=index)
        return replace(make_result(index, index / 25, source_id="cam 1"), events=(event,))

    return result


@pytest.mark.slow
def test_events_arrive_in_order_also_after_a_broker_that_stopped_answering(cluster, result_of, tmp_path):
    process, port = cluster
    sink = PublishSink(f"kafka://127.0.0.1:{port}/yard", tmp_path)
    for index in range(3):
        sink.write(result_of(index))
    until = time.monotonic() + 60
    while sink.counters()["waiting"]:
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGSTOP)
    for index in range(3, 6):
        sink.write(result_of(index))
    assert sink.counters()["waiting"] == 3
    os.kill(process.pid, signal.SIGCONT)
    sink.close()
    assert sink.counters() == {"events": 6, "waiting": 0, "refused": 0, "lost": 0}
    messages = taken(port, 6)
    bodies = [json.loads(message.value()) for message in messages]
    assert [body["id"] for body in bodies] == [f"{k:016x}-happened" for k in range(6)]
    assert {message.key() for message in messages} == {b"cam%201"}
    assert messages[0].headers() == [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def test_a_broker_that_is_away_is_tried_later_and_said(free_port):
    destination = open_destination(f"kafka://user:hidden@127.0.0.1:{free_port}/yard")
    with pytest.raises(Later, match="Connection refused") as caught:
        destination.send("cam/gate", "{}")
    assert caught.value.pause_s == 0
    assert "hidden" not in str(caught.value)
    destination.close()
    destination.close()


def test_a_message_that_no_broker_takes_is_refused(free_port):
    destination = open_destination(f"kafka://127.0.0.1:{free_port}/yard")
    with pytest.raises(Refused, match="Message size too large"):
        destination.send("cam/gate", "x" * 2_000_000)


@pytest.mark.parametrize("address", ["kafka:///yard", "kafka://host:port/yard"])
def test_what_is_no_address_of_a_broker_is_said_at_once(address):
    with pytest.raises(ConfigError, match=r"output\.publish"):
        check_destination(address)
