"""Independent receiving ends that count what arrives: `python -m hil.witness mqtt HOST:PORT` and `... opcua URL`.

One JSON line a second on stdout; a last one with "final": true at SIGTERM. They reconnect by themselves.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from hil.process import host_port, run

Report = Callable[[bool], dict[str, object]]


async def report_each_second(report: Report) -> None:
    """Prints `report(False)` once a second until cancelled."""
    started_s = time.monotonic()
    while True:
        await asyncio.sleep(1.0)
        print_line({"time_s": round(time.monotonic() - started_s, 3), **report(False)})


def print_line(line: dict[str, object]) -> None:
    """One JSON line, at once."""
    print(json.dumps(line, default=str), flush=True)


async def witness(receive: Coroutine[None, None, None], report: Report) -> None:
    """Receives and reports until cancelled, then prints the final line."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receive)
            tasks.create_task(report_each_second(report))
    finally:
        print_line({"final": True, **report(True)})


async def serve_mqtt(args: argparse.Namespace) -> None:
    """The MQTT witness."""
    from hil.witness_mqtt import MqttWitness

    host, port = args.broker
    seen = MqttWitness(host, port, args.topic)
    await witness(seen.run(), seen.report)


async def serve_opcua(args: argparse.Namespace) -> None:
    """The OPC UA witness; asyncua is loaded only here, it takes 0.7 s."""
    from hil.witness_opcua import Login, OpcuaWitness

    password = args.password_file.read_text(encoding="utf-8").rstrip("\r\n") if args.password_file else None
    login = Login(args.security, args.user, password, args.certificate_dir)
    seen = OpcuaWitness(args.url, login, args.nodes_under, args.period_ms)
    await witness(seen.run(), seen.report)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m hil.witness", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    mqtt = kinds.add_parser("mqtt", help="subscribe at a broker")
    mqtt.add_argument("broker", type=host_port, metavar="HOST:PORT")
    mqtt.add_argument("--topic", default="edgetwin/#")
    opcua = kinds.add_parser("opcua", help="subscribe at an OPC UA server")
    opcua.add_argument("url", metavar="URL")
    opcua.add_argument("--nodes-under", required=True, metavar="NAME", help="browse name or node id, e.g. the asset id")
    opcua.add_argument("--security", default="Basic256Sha256", metavar="POLICY", help="or None")
    opcua.add_argument("--user")
    opcua.add_argument("--password-file", type=Path)
    opcua.add_argument("--certificate-dir", type=Path, help="holds or gets witness.der and witness.pem")
    opcua.add_argument("--period-ms", type=float, default=500.0)
    args = parser.parse_args(argv)
    if args.kind == "opcua" and args.security != "None" and args.certificate_dir is None:
        parser.error("--certificate-dir is needed with --security other than None")
    return args


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    args = arguments(argv)
    return run(partial(serve_mqtt if args.kind == "mqtt" else serve_opcua, args))


if __name__ == "__main__":
    sys.exit(main())
