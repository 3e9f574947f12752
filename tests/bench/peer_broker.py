"""mosquitto and a subscriber that counts what really arrives: messages, bytes, values, and how many of them are new."""

import json
import os
import re
import shutil
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho

sys.path.insert(0, str(Path(__file__).parents[1]))

from peer_processes import running, until
from peers import free_port

PATHS = os.environ["PATH"] + ":/usr/sbin"
AT_LEAST_ONCE = 1
REQUEST = re.compile(r"v1/devices/me/rpc/request/(\d+)")

# What a ThingsBoard server without limits answers to its gateway.
NO_LIMITS = json.dumps(
    {"maxPayloadSize": 1 << 20, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}}
)


class AbsentError(Exception):
    """Why a peer cannot be measured here."""


class Counts:
    """What came since the last `take`."""

    def __init__(self):
        self._newest = {}
        self._zero()

    def _zero(self):
        self.messages = self.size = self.values = self.new = 0

    def add(self, size, named):
        """A message and its values by name."""
        self.messages += 1
        self.size += size
        self.values += len(named)
        self.new += sum(self._newest.get(name) != value for name, value in named.items())
        self._newest |= named

    def take(self):
        """(messages, bytes, values, new values); counting begins anew."""
        taken = self.messages, self.size, self.values, self.new
        self._zero()
        return taken


class Subscriber:
    """Counts by `readers`: a topic's beginning, and what gives the values by name of a message under it."""

    def __init__(self, port):
        self.readers = {}
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="subscriber")
        self._client.on_message = self._message
        self._client.on_connect = lambda client, *_: client.subscribe("#", AT_LEAST_ONCE)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def count(self, beginning, values_of):
        """The counts of messages under a topic, from now on."""
        counts = Counts()
        self.readers[beginning] = (values_of, counts)
        return counts

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _message(self, client, _, message):
        asked = REQUEST.fullmatch(message.topic)
        if asked:
            client.publish(f"v1/devices/me/rpc/response/{asked[1]}", NO_LIMITS, AT_LEAST_ONCE)
        for beginning, (values_of, counts) in list(self.readers.items()):
            if message.topic.startswith(beginning):
                counts.add(len(message.payload), values_of(message.topic, json.loads(message.payload)))


@contextmanager
def broker(folder):
    """mosquitto on a free port: (its process, the port, a Subscriber)."""
    program = shutil.which("mosquitto", path=PATHS)
    if program is None:
        raise AbsentError("needs mosquitto (apt: mosquitto)")
    port, config = free_port(), folder / "mosquitto.conf"
    user = "user root\n" if os.getuid() == 0 else ""
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{user}")
    log = folder / "mosquitto.log"
    with running(
        [program, "-v", "-c", config] if "MQTT_LOG" in os.environ else [program, "-c", config], log
    ) as process:
        until(lambda: _listens(port), 10, "mosquitto", process)
        subscriber = Subscriber(port)
        try:
            yield process, port, subscriber
        finally:
            subscriber.close()


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
