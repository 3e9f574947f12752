"""Counts MQTT messages by class: the topic level after edgetwin/<gateway>/."""

import json
import os
from collections import Counter

from hil.mqtt_wire import Message, Subscription
from hil.process import wait_before_retry

CLASS_LEVEL = 2


class MqttWitness:
    """A subscriber with counters."""

    def __init__(self, host: str, port: int, topic: str) -> None:
        self._link = Subscription(host, port, topic, client_id=f"witness-{os.getpid()}")
        self._classes: Counter[str] = Counter()
        self._connected = False
        self._connects = self._duplicates = self._retained = self._bytes = 0
        self._last: dict[str, object] = {}
        self._last_event: object = None
        self._error: str | None = None

    async def run(self) -> None:
        """Subscribes and counts until cancelled."""
        attempt = 0
        while True:
            try:
                async for message in self._link.messages():
                    attempt = 0
                    self._take(message)
            except (OSError, EOFError, ValueError) as error:
                self._error = f"{type(error).__name__}: {error}"
            self._connected = False
            attempt += 1
            await wait_before_retry(attempt, longest_s=5.0)

    def report(self, final: bool) -> dict[str, object]:
        """The counters."""
        return {
            "connected": self._connected,
            "connects": self._connects,
            "messages": self._classes.total(),
            "classes": dict(self._classes),
            "bytes": self._bytes,
            "retained": self._retained,
            "duplicates": self._duplicates,
            "last": self._last,
            "last_event": self._last_event,
            "error": None if self._connected else self._error,
        }

    def _take(self, message: Message | None) -> None:
        if message is None:
            self._connected = True
            self._connects += 1
            return
        levels = message.topic.split("/")
        name = levels[CLASS_LEVEL] if len(levels) > CLASS_LEVEL else message.topic
        self._classes[name] += 1
        self._bytes += len(message.payload)
        self._retained += message.retained
        self._duplicates += message.duplicate
        self._last = {"topic": message.topic, "qos": message.qos, "bytes": len(message.payload)}
        if name == "event":
            self._last_event = readable(message.payload)


def readable(payload: bytes) -> object:
    """The payload as JSON if it is, else as text or its size."""
    try:
        return json.loads(payload)
    except ValueError:
        return payload[:200].decode("utf-8", "replace")
