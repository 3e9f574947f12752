"""The plant's control requests, the bench's addresses and MQTT packets."""

import argparse
import asyncio
import struct

import pytest

from hil.broker import loopback
from hil.mqtt_wire import PUBLISH, packet, parse_publish, read_packet, text
from hil.plant import Plant
from hil.process import host_port
from hil.simulation import Simulation


@pytest.fixture
def plant():
    return Plant(Simulation())


def test_faults_cuts_and_repair(plant):
    assert plant.do({"do": "leak"}) == {"size": 8.0, "unit": "mm2"}
    assert plant.do({"do": "wear", "size": 0.3})["size"] == 0.3
    assert plant.do({"do": "cut", "of": "opcua"})["cut"] == ["opcua"]
    assert plant.do({"do": "status"})["faults"] == {"leak": 8.0, "wear": 0.3}
    assert plant.message()["cut"] == ["opcua"]
    plant.do({"do": "repair"})
    status = plant.do({"do": "status"})
    assert (status["faults"], status["cut"]) == ({}, [])


def test_start_stop_and_set_point(plant):
    plant.do({"do": "stop"})
    assert plant.do({"do": "status"})["demand"] == "off"
    plant.do({"do": "demand", "of": "clean"})
    assert plant.do({"do": "status"})["demand"] == "clean"
    plant.do({"do": "start"})
    assert plant.do({"do": "status"})["demand"] == "run"
    assert plant.do({"do": "setpoint", "value": 0.22}) == {"value": 0.22}
    assert plant.message()["values"]["control/setpoint_base"] == 0.22


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"do": "explode"}, "cannot do 'explode'"),
        ({"do": "leak", "size": "big"}, "size is 'big', expected a number"),
        ({"do": "leak", "size": float("nan")}, "expected a number"),
        ({"do": "leak", "size": True}, "expected a number"),
        ({"do": "cut", "of": "profinet"}, "no PLC 'profinet'"),
        ({"do": "demand", "of": "party"}, "no demand 'party'"),
        ({"do": "setpoint"}, "needs a value"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong(plant, request_, says):
    with pytest.raises(ValueError, match=says):
        plant.do(request_)


def test_addresses():
    assert host_port("127.0.0.1:502") == ("127.0.0.1", 502)
    assert host_port("[::1]:502") == ("::1", 502)
    for wrong in ("127.0.0.1", "x:y", "h:70000"):
        with pytest.raises(argparse.ArgumentTypeError):
            host_port(wrong)


def test_the_broker_listens_on_loopback_only():
    assert loopback("localhost:1883") == ("127.0.0.1", 1883)
    for wrong in ("0.0.0.0:1883", "192.168.1.2:1883", "example.org:1883"):
        with pytest.raises(argparse.ArgumentTypeError, match="loopback"):
            loopback(wrong)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 70000])
def test_mqtt_packets_of_every_length_come_back(size):
    async def there_and_back():
        reader = asyncio.StreamReader()
        reader.feed_data(packet(PUBLISH, 3, bytes(size)))
        return await read_packet(reader)

    assert asyncio.run(there_and_back()) == (PUBLISH, 3, bytes(size))


def test_a_publication_is_taken_apart():
    body = text("a/ö") + struct.pack(">H", 77) + b"xyz"
    message, packet_id = parse_publish(0b1011, body)
    assert (message.topic, message.payload, message.qos) == ("a/ö", b"xyz", 1)
    assert (message.retained, message.duplicate) == (True, True)
    assert packet_id == 77
