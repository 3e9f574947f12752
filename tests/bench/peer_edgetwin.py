"""The daemon as a subject: `edgetwin run` with a configuration written here, one asset a machine.

It publishes over MQTT QoS 1 each second, for each machine, one summary: of every tag its name with min, mean, max,
last, std and the share of good time over that second, or with those `figures` alone; with `layout="columns"` without
the names, which go once before.
"""

import sys

from peer_machines import FLOATS, WORDS
from ruamel.yaml import YAML

COLUMNS = "group,tag,address,type,order\n"


def tag_list(words=0, floats=0):
    """The CSV of a machine's tags: contiguous holding registers."""
    rows = [f"words,w{i},holding:{WORDS + i},uint16,ABCD\n" for i in range(words)]
    rows += [f"floats,f{i},holding:{FLOATS + 2 * i},float32,CDAB\n" for i in range(floats)]
    return COLUMNS + "".join(rows)


def command(folder, machines, broker_port, words=0, floats=0, raw=True, figures=None, layout="named"):
    """The command that runs the daemon on these machines."""
    names = [f"m{i}" for i in range(len(machines))]
    (folder / "tags.csv").write_text(tag_list(words, floats))
    more = {"layout": layout} | ({"figures": figures} if figures else {})
    tree = {
        "gateway": {"id": folder.name},
        "state_dir": str(folder / "state"),
        "journal": {"raw": raw},
        "classes": {
            "machine@1": {"tags": "tags.csv", "sources": ["plc"], "modes": {"always": "running"}, "summary_s": 1}
        },
        "assets": [{"id": name, "class": "machine@1", "sources": {"plc": f"{name}-plc"}} for name in names],
        "sources": [
            {"id": f"{name}-plc", "type": "modbus", "host": "127.0.0.1", "port": machine.port}
            for name, machine in zip(names, machines, strict=True)
        ],
        "sinks": [{"type": "mqtt", "host": "127.0.0.1", "port": broker_port} | more] if broker_port else [],
    }
    with (folder / "edgetwin.yaml").open("w") as file:
        YAML(typ="safe").dump(tree, file)
    return [sys.executable, "-m", "agent.cli", "run", folder / "edgetwin.yaml"]


def values(topic, message):
    """The newest value of each tag in a summary."""
    if message.get("kind") != "summary" or message["asset"] == "gateway":
        return {}
    if "columns" in message:
        return {f"{message['asset']}/{place}": value for place, value in enumerate(message["columns"]["last"])}
    return {f"{message['asset']}/{name}": tag["last"] for name, tag in message["tags"].items()}
