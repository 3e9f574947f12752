"""thingsboard-gateway as a subject: its own virtual environment outside the repository, its shipped configuration.

Changed in that configuration: the broker, no rate limits, no statistics, no remote configuration, one Modbus
connector that polls each second. It asks once a tag: it has no other way to read float32 tags by name.
"""

import json
import subprocess
import sys

from peer_broker import AbsentError
from peer_machines import FLOATS

# 3.8.5 installs pymodbus 3.9.2 and the others by itself when it starts: they are to be there before.
PACKAGES = ("thingsboard-gateway==3.8.5", "pymodbus==3.9.2", "pyserial", "pyserial-asyncio")
NO_LIMIT = "0:0,"
LIMITS = ("rateLimits", "dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits",
          "deviceDpRateLimits")  # fmt: skip


def installed(cache):
    """The virtual environment with the gateway. AbsentError says why there is none."""
    home = cache / "thingsboard"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        _run([sys.executable, "-m", "venv", "--clear", home])
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES])
        (home / "complete").write_text("\n".join(PACKAGES))
    return home


def _run(command):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        raise AbsentError("thingsboard-gateway was not installed within 600 s") from None
    if done.returncode:
        raise AbsentError(f"thingsboard-gateway cannot be installed: {done.stderr.strip()[-200:]}")


def command(home, folder, machine, broker_port, floats):
    """(command, environment) of the gateway that polls `floats` tags of one machine."""
    shipped = next(home.glob("lib/python*/site-packages/thingsboard_gateway/config"))
    gateway = json.loads((shipped / "tb_gateway.json").read_text())
    gateway["thingsboard"] |= {"host": "127.0.0.1", "port": broker_port, "remoteConfiguration": False}
    gateway["thingsboard"] |= {"statistics": {"enable": False}} | dict.fromkeys(LIMITS, NO_LIMIT)
    gateway["connectors"] = [{"type": "modbus", "name": "modbus", "configuration": "modbus.json"}]
    (folder / "tb_gateway.json").write_text(json.dumps(gateway))
    (folder / "modbus.json").write_text(json.dumps({"master": {"slaves": [_device(machine, floats)]}}))
    (folder / "logs.json").write_text((shipped / "logs.json").read_text())
    (folder / "logs").mkdir()
    return [home / "bin" / "thingsboard-gateway"], {"TB_GW_CONFIG_DIR": f"{folder}/"}


def _device(machine, floats):
    tags = [
        {"tag": f"f{i}", "type": "32float", "functionCode": 3, "objectsCount": 2, "address": FLOATS + 2 * i}
        for i in range(floats)
    ]
    return {
        "host": "127.0.0.1",
        "port": machine.port,
        "type": "tcp",
        "method": "socket",
        "unitId": 1,
        "deviceName": "m0",
        "timeout": 35,
        "byteOrder": "BIG",
        "wordOrder": "LITTLE",
        "retries": 3,
        "pollPeriod": 1000,
        "timeseries": tags,
        "attributes": [],
        "attributeUpdates": [],
        "rpc": [],
    }


def values(topic, message):
    """The values in a telemetry message: {device: [{ts, values: {name: value}}]}."""
    if topic != "v1/gateway/telemetry":
        return {}
    return {
        f"{device}/{name}": value
        for device, records in message.items()
        for record in records
        for name, value in record["values"].items()
    }
