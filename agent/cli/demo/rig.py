"""What the demonstration consists of: addresses, credentials, command lines; and the plant's own control socket."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import agent
from agent.cli.demo.processes import Child, DemoError, free_ports, taken
from agent.sinks.opcua import users

CONFIG = Path(agent.__file__).parent.parent / "configs" / "two-tank.yaml"
ASSET = "rig"
USER = "scada"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on loopback."""

    modbus: int = 5020
    plc_opcua: int = 4841
    broker: int = 1883
    server: int = 4840


def ports(kind: str) -> Ports:
    """The usual ports, or free ones; DemoError names those that are taken."""
    if kind == "free":
        return Ports(*free_ports(4))
    usual = Ports()
    held = taken([usual.modbus, usual.plc_opcua, usual.broker, usual.server])
    if held:
        raise DemoError(f"port {', '.join(map(str, held))} is in use; free it, or use --ports free")
    return usual


@dataclass(frozen=True, slots=True)
class Rig:
    """The demonstration's addresses and its processes by name."""

    folder: Path
    ports: Ports
    children: dict[str, Child]

    @property
    def feed(self) -> Path:
        """The daemon's feed socket."""
        return self.folder / "state" / "feed.sock"

    @property
    def control(self) -> Path:
        """The plant's control socket."""
        return self.folder / "plant.sock"

    @property
    def password_file(self) -> Path:
        """Password of the OPC UA user."""
        return self.folder / "opcua-password"

    @property
    def endpoint(self) -> str:
        """Our OPC UA server."""
        return f"opc.tcp://127.0.0.1:{self.ports.server}"


def built(folder: Path, at: Ports, seed: int = 11) -> Rig:
    """The rig in a folder, nothing started yet."""
    rig = Rig(folder, at, {})
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    _credentials(rig, state)
    settings = {
        "sources.plc1.port": at.modbus,
        "sources.plc2.endpoint": f"opc.tcp://127.0.0.1:{at.plc_opcua}",
        "sinks.mqtt.port": at.broker,
        "sinks.opcua.endpoint": rig.endpoint,
        "sinks.opcua.users_file": state / "opcua-users",
        "sinks.opcua.trust_on_first_use": "true",
    }
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    plant = str(rig.control)
    lines: dict[str, tuple[str, ...]] = {
        "plant": ("hil.plant", "--control", plant, "--seed", str(seed)),
        "plc1": ("hil.plc_modbus", "--plant", plant, "--listen", f"127.0.0.1:{at.modbus}"),
        "plc2": ("hil.plc_opcua", "--plant", plant, "--listen", f"127.0.0.1:{at.plc_opcua}"),
        "broker": ("hil.broker", "--listen", f"127.0.0.1:{at.broker}"),
        "agent": ("agent.cli", "run", str(CONFIG), "--state-dir", str(state), *sets),
        "cloud": ("hil.witness", "mqtt", f"127.0.0.1:{at.broker}", "--topic", "edgetwin/#"),
        "scada": ("hil.witness", "opcua", rig.endpoint, "--user", USER, "--password-file", str(rig.password_file),
                  "--certificate-dir", str(folder / "scada"), "--nodes-under", ASSET),
    }  # fmt: skip
    for name, arguments in lines.items():
        rig.children[name] = Child(name, arguments, folder / f"{name}.log")
    return rig


def _credentials(rig: Rig, state: Path) -> None:
    """A password of its own for every demonstration; only its hash is given to the server."""
    password = secrets.token_urlsafe(9)
    rig.password_file.touch(mode=0o600)
    rig.password_file.write_text(password + "\n")
    (rig.folder / "scada").mkdir(exist_ok=True)
    users.add(state / "opcua-users", USER, password, "operator")


async def tell_plant(control: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Send one order to the plant's control socket; its answer."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(control))
        writer.write(json.dumps(order).encode() + b"\n")
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), 5.0)
        writer.close()
        await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        raise DemoError(f"the plant does not answer on {control}: {error}") from error
    answer: dict[str, Any] = json.loads(line)
    return answer
