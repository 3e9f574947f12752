"""`python -m agent.sinks.opcua.server`: settings come as one line of JSON on standard input, which then stays open."""

from __future__ import annotations

import asyncio
import logging
import sys

from agent.sinks.opcua.settings import parse

log = logging.getLogger("agent.sinks.opcua.server")


def _is_fault_of_ours(record: logging.LogRecord) -> bool:
    """A refused request is an answer to a client; those that matter are logged where they are refused."""
    return not str(record.msg).startswith("sending service fault response")


def main() -> int:
    """Exit status: 0 after a stop that was asked for, 1 where address or file cannot be had, 2 without settings."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    logging.getLogger("asyncua.server.uaprocessor").addFilter(_is_fault_of_ours)
    try:
        settings = parse(sys.stdin.readline())
    except (TypeError, ValueError) as error:
        log.error("opcua: expected the settings as one line of JSON on standard input: %s", error)
        return 2
    from agent.sinks.opcua.server.app import serve

    try:
        asyncio.run(serve(settings))
    except OSError as error:
        log.error("opcua: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
