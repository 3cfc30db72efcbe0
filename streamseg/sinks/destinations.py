"""Who takes messages: a webhook, an MQTT broker, Kafka. Tested in tests/sinks/test_publish_sink.py."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from streamseg.addresses import Address, shown, split_address
from streamseg.errors import ConfigError, MissingDependency
from streamseg.sinks.delivery import ANSWER_SECONDS, AUTH_PAUSE_SECONDS, Destination, Later, Refused

__all__ = ["SCHEMES", "check_destination", "open_destination"]

SCHEMES = {
    **dict.fromkeys(("http", "https"), "requests"),
    **dict.fromkeys(("mqtt", "mqtts"), "paho"),
    **dict.fromkeys(("kafka", "kafkas"), "confluent_kafka"),
}
"""Each with the package it needs."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_TRY_AGAIN = {408, 425, 429}
_SET_RIGHT = {401, 403, 404, 405, 407}
"""Answers that a person mends at the other end, after which the same message is welcome."""
_LOOK_SECONDS = 0.005
_WELCOME = "Success"
_NOT_AUTHORIZED = {"Bad user name or password", "Not authorized", "Unsupported protocol version"}


def check_destination(address: str) -> Address:
    """Its parts. Raises ConfigError where no webhook or broker can have it, and MissingDependency."""
    parts = split_address(address)
    if parts.scheme not in SCHEMES or not parts.host:
        raise ConfigError(f"output.publish {shown(address)!r}: an address that begins with {_schemes()}")
    try:
        parts.check()
    except ValueError as error:
        raise ConfigError(f"output.publish {shown(address)!r}: {error}") from error
    package = SCHEMES[parts.scheme]
    if find_spec(package) is None:
        extra = "kafka" if parts.scheme.startswith("kafka") else "publish"
        raise MissingDependency.of(package, extra, f"output.publish {shown(address)!r}")
    return parts


def open_destination(address: str) -> Destination:
    """For an address that `check_destination` has seen; connects at the first message."""
    parts = split_address(address)
    if parts.scheme.startswith("kafka"):
        from streamseg.sinks.kafka_destination import KafkaDestination

        return KafkaDestination(parts)
    return _Mqtt(parts) if parts.scheme in _PORTS else _Webhook(address)


def _schemes() -> str:
    *others, last = (f"{scheme}://" for scheme in SCHEMES)
    return f"{', '.join(others)} or {last}"


class _Webhook:
    """POST of one CloudEvent in structured mode (CloudEvents 1.0, HTTP binding §3.2)."""

    def __init__(self, address: str) -> None:
        import requests

        self._errors = requests.RequestException
        self._session = requests.Session()
        self._address, self._shown = address, shown(address)

    def send(self, topic: str, body: str) -> None:
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
        try:
            answer = self._session.post(
                self._address,
                data=body.encode(),
                headers=headers,
                timeout=ANSWER_SECONDS,
                allow_redirects=False,  # a POST that is sent on becomes a GET
            )
        except self._errors as error:
            raise Later(f"{self._shown}: {_reason(error)}") from error
        status = answer.status_code
        if 200 <= status < 300:
            return
        said = f"{self._shown}: answered {status} {answer.reason or ''}".rstrip()
        if status in _SET_RIGHT:
            raise Later(said, AUTH_PAUSE_SECONDS)
        if status in _TRY_AGAIN or status >= 500:
            raise Later(said)
        if 300 <= status < 400:
            raise Later(f"{said}; redirects are not followed, name the last address", AUTH_PAUSE_SECONDS)
        raise Refused(said)

    def close(self) -> None:
        self._session.close()


class _Mqtt:
    """QoS 1: returns from `send` when the broker has acknowledged the message.

    `mqtt://user:password@host:port/prefix?discovery=homeassistant`: topics are `prefix/SOURCE/RULE`; with
    `discovery` every rule announces itself as an event entity of Home Assistant.
    """

    def __init__(self, parts: Address) -> None:
        self._parts = parts
        self._place = f"{parts.scheme}://{parts.host}"
        self._prefix = unquote(parts.path).strip("/") or "streamseg"
        self._discovery = parse_qs(parts.query.partition("#")[0].lstrip("?")).get("discovery", [""])[0]
        self._announced: set[str] = set()
        self._client: Any = None
        self._answer, self._lost = "", False

    def send(self, topic: str, body: str) -> None:
        try:
            if self._client is None:
                self._connect()
            if self._discovery and topic not in self._announced:
                self._publish(*self._announcement(topic), retain=True)
                self._announced.add(topic)
            self._publish(f"{self._prefix}/{topic}", body)
        except Later:
            self.close()  # with what it may still hold, which is sent again
            raise

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _connect(self) -> None:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        client = paho.Client(CallbackAPIVersion.VERSION2)
        user, _, password = (self._parts.credentials or "").partition(":")
        if user:
            client.username_pw_set(unquote(user), unquote(password) or None)
        if self._parts.scheme == "mqtts":
            client.tls_set()
        self._answer, self._lost = "", False
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.connect_timeout = ANSWER_SECONDS
        self._client = client
        try:
            client.connect(self._parts.host, self._parts.port or _PORTS[self._parts.scheme], keepalive=30)
        except (OSError, ValueError) as error:
            raise Later(f"{self._place}: {_reason(error)}") from error
        client.loop_start()
        self._wait_until(lambda: bool(self._answer))
        if self._answer != _WELCOME:
            pause = AUTH_PAUSE_SECONDS if self._answer in _NOT_AUTHORIZED else 0.0
            raise Later(f"{self._place}: {self._answer.lower() or 'connection lost'}", pause)

    def _connected(self, _client: Any, _data: Any, _flags: Any, answer: Any, _properties: Any) -> None:
        self._answer = str(answer)

    def _disconnected(self, *_: Any) -> None:
        self._lost = True

    def _wait_until(self, done: Callable[[], bool]) -> None:
        """paho's own wait goes on when the connection is lost. Raises Later after ANSWER_SECONDS."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not done() and not self._lost:
            if time.monotonic() > deadline:
                raise Later(f"{self._place}: no answer in {ANSWER_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)

    def _publish(self, topic: str, body: str, retain: bool = False) -> None:
        try:
            message = self._client.publish(topic, body.encode(), qos=1, retain=retain)
            self._wait_until(message.is_published)
            taken = message.is_published()
        except (RuntimeError, ValueError) as error:
            raise Later(f"{self._place}: {error}") from error
        if not taken:
            raise Later(f"{self._place}: connection lost")

    def _announcement(self, topic: str) -> tuple[str, str]:
        source, _, rule = (unquote(part) for part in topic.partition("/"))
        key = hashlib.sha256(f"{self._prefix}/{topic}".encode()).hexdigest()[:16]
        entity = {
            "name": rule,
            "unique_id": f"streamseg_{key}",
            "state_topic": f"{self._prefix}/{topic}",
            "event_types": ["started", "updated", "ended", "happened"],
            "value_template": "{{ {'event_type': value_json.data.phase, 'kind': value_json.data.kind, "
            "'class': value_json.data.class, 'track': value_json.data.track} | tojson }}",
            "device": {"identifiers": [f"streamseg_{quote(source, safe='')}"], "name": source},
        }
        return f"{self._discovery}/event/streamseg_{key}/config", json.dumps(entity)


def _reason(error: Exception) -> str:
    """The innermost cause in a few words: libraries wrap it three times."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    text = getattr(cause, "strerror", None) or str(cause).partition("\n")[0]
    return str(text) or type(cause).__name__
