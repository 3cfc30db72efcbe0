"""Kafka takes messages. Tested in tests/sinks/test_kafka.py."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote

from streamseg.addresses import Address
from streamseg.sinks.delivery import ANSWER_SECONDS, AUTH_PAUSE_SECONDS, Later, Refused

__all__ = ["KafkaDestination"]

_PORT = 9092
_TOPIC = "streamseg"
_POLL_SECONDS = 0.1
_CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"


class KafkaDestination:
    """One CloudEvent in structured mode a message (CloudEvents 1.0, Kafka binding); the key is `SOURCE`, so
    that the events of a source stay in order in one partition. Returns when all replicas in step have it.

    `kafka://user:password@host:port/topic`, under TLS `kafkas://`; other brokers are found by the first.
    """

    def __init__(self, parts: Address) -> None:
        self._parts = parts
        self._place = f"{parts.scheme}://{parts.host}"
        self._topic = unquote(parts.path).strip("/") or _TOPIC
        self._producer: Any = None
        self._said = self._hopeless = ""
        self._answer: list[Any] = []

    def send(self, topic: str, body: str) -> None:
        from confluent_kafka import KafkaException

        try:
            if self._producer is None:
                self._open()
            self._answer.clear()
            self._producer.produce(
                self._topic,
                body.encode(),
                topic.partition("/")[0].encode(),
                headers=[("content-type", _CONTENT_TYPE.encode())],
                on_delivery=lambda error, _message: self._answer.append(error),
            )
            self._wait()
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        except BufferError as error:
            raise self._failure(None) from error

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()  # what it still holds is in the outbox
            producer.flush(0)

    def _open(self) -> None:
        from confluent_kafka import Producer

        parts = self._parts
        host = f"[{parts.host}]" if ":" in parts.host else parts.host
        settings: dict[str, Any] = {
            "bootstrap.servers": f"{host}:{parts.port or _PORT}",
            "message.timeout.ms": int(ANSWER_SECONDS * 1000),
            "socket.timeout.ms": int(ANSWER_SECONDS * 1000),
            "acks": "all",
            "linger.ms": 0,
            "error_cb": self._note,
            "log_level": 0,
        }
        protocol = "SSL" if parts.scheme == "kafkas" else "PLAINTEXT"
        user, _, password = (parts.credentials or "").partition(":")
        if user:
            protocol = f"SASL_{protocol}"
            settings |= {
                "sasl.mechanism": "PLAIN",
                "sasl.username": unquote(user),
                "sasl.password": unquote(password),
            }
        self._said, self._hopeless = "", ""
        self._producer = Producer({**settings, "security.protocol": protocol})

    def _note(self, error: Any) -> None:
        """Called from within `poll`: what librdkafka has against a broker. It would try again until the
        message's time is over; the next try is ours."""
        self._said = self._said or _words(error)
        if error.name() in ("_AUTHENTICATION", "_ALL_BROKERS_DOWN"):
            self._hopeless = error.name()

    def _wait(self) -> None:
        """Raises Later or Refused."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._answer and not self._hopeless and time.monotonic() < deadline:
            self._producer.poll(_POLL_SECONDS)
        if not self._answer or self._answer[0] is not None:
            raise self._failure(self._answer[0] if self._answer else None)

    def _failure(self, error: Any) -> Later | Refused:
        """What to do now that a message was not taken. Forgets it, as it is sent again."""
        name = "_MSG_TIMED_OUT" if error is None else error.name()
        said = self._said if name == "_MSG_TIMED_OUT" else _words(error)
        said = f"{self._place}: {said or f'no answer in {ANSWER_SECONDS:.0f} s'}"
        self.close()
        if name in _FINAL:
            return Refused(said)
        mended_by_people = self._hopeless == "_AUTHENTICATION" or name in _SET_RIGHT
        return Later(said, AUTH_PAUSE_SECONDS if mended_by_people else 0.0)


_SET_RIGHT = {
    "TOPIC_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "SASL_AUTHENTICATION_FAILED",
    "UNKNOWN_TOPIC_OR_PART",
    "_UNKNOWN_TOPIC",
    "TOPIC_EXCEPTION",
}
"""What a person mends at the other end, after which the same message is welcome."""
_FINAL = {"MSG_SIZE_TOO_LARGE", "INVALID_MSG", "INVALID_RECORD"}


def _words(error: Any) -> str:
    return str(error.str()).partition("\n")[0]
