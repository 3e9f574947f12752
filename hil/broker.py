"""An MQTT 3.1.1 broker in one process for the demo: `python -m hil.broker --listen 127.0.0.1:1883`.

Anonymous, therefore on loopback only. Sessions and retained messages live in memory: a restart forgets them.
"""

import argparse
import asyncio
import ipaddress
import logging
import os
import sys
from contextlib import suppress
from functools import partial

from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.errors import BrokerError

from hil.mqtt_sessions import LoopbackBroker
from hil.process import host_port, ready, run

SHUTDOWN_S = 1.0


def loopback(text: str) -> tuple[str, int]:
    """Host and port of a loopback address; for argparse."""
    host, port = host_port(text)
    host = "127.0.0.1" if host == "localhost" else host
    try:
        on_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        on_loopback = False
    if not on_loopback:
        raise argparse.ArgumentTypeError(f"{host} is not a loopback address; this broker knows no users")
    return host, port


def configuration(host: str, port: int) -> BrokerConfig:
    """Everybody may come in; no $SYS topics, no packet log."""
    return BrokerConfig(
        listeners={"default": ListenerConfig(bind=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")},
        plugins={"hil.mqtt_sessions.EverybodyIsSomebody": {}},
    )


async def serve(host: str, port: int) -> None:
    """Runs the broker until cancelled."""
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    broker = LoopbackBroker(configuration(host, port))
    try:
        await broker.start()
    except BrokerError as error:
        raise OSError(str(error)) from error
    ready(f"mqtt {host}:{port}")
    try:
        await asyncio.Event().wait()
    finally:
        # The library's shutdown can wait for ever for a client that is just coming or going. Nothing is kept beyond
        # this process, so after a moment for the others it ends here and leaves the sockets to the kernel.
        with suppress(TimeoutError):
            await asyncio.wait_for(broker.shutdown(), SHUTDOWN_S)
        os._exit(0)


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m hil.broker", description=__doc__)
    parser.add_argument("--listen", type=loopback, default=("127.0.0.1", 1883), metavar="HOST:PORT")
    return run(partial(serve, *parser.parse_args(argv).listen))


if __name__ == "__main__":
    sys.exit(main())
