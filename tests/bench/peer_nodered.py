"""Node-RED with node-red-contrib-modbus as a subject: block reads, a function node, MQTT out with QoS 1.

For each machine 10 modbus-read nodes of 100 registers each second, all on one modbus-client; a function makes of each
answer {"start": ..., "time": ..., "values": [100 numbers]}, the least that a receiver needs. The names of the tags, and
floats from pairs of registers, are left to the receiver: more of it would cost Node-RED more.
"""

import json
import shutil
import subprocess

from peer_broker import AbsentError
from peer_machines import WORDS

PACKAGES = ("node-red@4.1.15", "node-red-contrib-modbus@5.23.3")  # later ones do not install from npm alone
BLOCK = 100


def installed(cache):
    """The folder with both in its node_modules. AbsentError says why there is none."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise AbsentError("needs node and npm (apt: nodejs npm)")
    home = cache / "nodered"
    if not (home / "complete").exists():
        home.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", *PACKAGES]
        try:
            done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=600, check=False)
        except subprocess.TimeoutExpired:
            raise AbsentError("Node-RED was not installed within 600 s") from None
        if done.returncode:
            raise AbsentError(f"Node-RED cannot be installed: {done.stderr.strip()[-200:]}")
        (home / "complete").write_text("\n".join(PACKAGES))
    return home


def command(home, folder, machines, broker_port, ui_port, words):
    """The command that runs the flow."""
    nodes = [{"id": "t", "type": "tab", "label": "poll"}, _broker(broker_port)]
    for i, machine in enumerate(machines):
        nodes += _machine(i, machine.port, words)
    (folder / "flows.json").write_text(json.dumps(nodes))
    (folder / "settings.js").write_text(
        f"module.exports = {{ uiHost: '127.0.0.1', uiPort: {ui_port}, httpAdminRoot: false, flowFile: 'flows.json',"
        " logging: { console: { level: 'warn' } }, telemetry: { enabled: false },"
        f" nodesDir: [{json.dumps(str(home / 'node_modules' / 'node-red-contrib-modbus' / 'modbus'))}] }}\n"
    )
    return ["node", home / "node_modules" / "node-red" / "red.js", "--userDir", folder]


def _broker(port):
    return {"id": "b", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(port), "clientid": "nodered",
            "autoConnect": True, "usetls": False, "protocolVersion": "4", "keepalive": "60",
            "cleansession": True}  # fmt: skip


def _machine(i, port, words):
    client = {"id": f"c{i}", "type": "modbus-client", "clienttype": "tcp", "bufferCommands": True,
              "tcpHost": "127.0.0.1", "tcpPort": str(port), "tcpType": "DEFAULT", "unit_id": "1", "commandDelay": "1",
              "clientTimeout": "1000", "reconnectOnTimeout": True, "reconnectTimeout": "2000",
              "parallelUnitIdsAllowed": True}  # fmt: skip
    out = {"id": f"o{i}", "type": "mqtt out", "z": "t", "topic": f"nodered/m{i}", "qos": "1", "retain": "false",
           "broker": "b", "wires": []}  # fmt: skip
    nodes = [client, out]
    for start in range(WORDS, WORDS + words, BLOCK):
        nodes += _block(i, start, min(BLOCK, WORDS + words - start))
    return nodes


def _block(i, start, count):
    read = {"id": f"r{i}-{start}", "type": "modbus-read", "z": "t", "unitid": "1", "dataType": "HoldingRegister",
            "adr": str(start), "quantity": str(count), "rate": "1", "rateUnit": "s", "server": f"c{i}",
            "wires": [[f"f{i}-{start}"], []]}  # fmt: skip
    code = f"msg = {{payload: {{start: {start}, time: Date.now(), values: msg.payload}}}}; return msg;"
    function = {"id": f"f{i}-{start}", "type": "function", "z": "t", "func": code, "outputs": 1,
                "wires": [[f"o{i}"]]}  # fmt: skip
    return [read, function]


def values(topic, message):
    """The values in a message, named by machine and register."""
    return {f"{topic}/{message['start'] + i}": value for i, value in enumerate(message["values"])}
