"""What each process of the bench does alike: addresses, the ready line, and a clean end at SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path


def host_port(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; for argparse."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def ready(text: str) -> None:
    """Prints the one line a starter waits for."""
    print(f"ready {text}", flush=True)


def say(text: str) -> None:
    """One line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def run(main: Callable[[], Coroutine[None, None, None]]) -> int:
    """Runs the coroutine until it ends or SIGTERM or SIGINT cancels it; gives the exit code."""
    logging.basicConfig(level=logging.CRITICAL)
    try:
        asyncio.run(_until_signal(main))
    except* OSError as group:
        say(f"{Path(sys.argv[0]).stem}: {first_error(group)}")
        return_code = 1
    else:
        return_code = 0
    return return_code


async def _until_signal(main: Callable[[], Coroutine[None, None, None]]) -> None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain error in a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def wait_before_retry(attempt: int, longest_s: float = 2.0) -> None:
    """Back-off of a client: 0.1 s doubled each time, up to longest_s."""
    await asyncio.sleep(min(0.1 * 2.0 ** min(attempt, 10), longest_s))
