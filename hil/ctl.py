"""Sends one request to the plant: `python -m hil.ctl SOCKET leak --size 8`, `... cut modbus`, `... repair`."""

import argparse
import json
import socket
import sys
from pathlib import Path


def ask(path: Path, request: dict[str, object], timeout_s: float = 5.0) -> dict[str, object]:
    """The plant's answer to one request; OSError if no plant listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        link.connect(str(path))
        link.sendall(json.dumps(request).encode() + b"\n")
        with link.makefile("rb") as lines:
            line = lines.readline()
    if not line:
        raise ConnectionResetError(f"{path}: the plant closed the connection without an answer")
    answer: dict[str, object] = json.loads(line)
    return answer


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m hil.ctl", description=__doc__)
    parser.add_argument("socket", type=Path)
    parser.add_argument("do", help="leak wear drift friction cut repair truth status start stop demand reset setpoint")
    parser.add_argument("of", nargs="?", help="modbus or opcua (cut); run, off, idle, clean, maintain (demand)")
    parser.add_argument("--size", type=float, help="leak mm2, wear share, drift mm/s, friction share of travel")
    parser.add_argument("--onset", type=float, metavar="S", help="time over which the fault grows")
    parser.add_argument("--value", type=float, help="set point in m")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry of the command; 1 if the plant refused or is not there."""
    args = arguments(argv)
    wanted = {"do": args.do, "of": args.of, "size": args.size, "onset_s": args.onset, "value": args.value}
    try:
        answer = ask(args.socket, {key: value for key, value in wanted.items() if value is not None})
    except OSError as error:
        print(f"{args.socket}: {error.strerror or error}; is the plant running?", file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0 if answer.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main())
