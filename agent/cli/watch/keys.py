"""Single keys from a terminal, without Enter."""

from __future__ import annotations

import asyncio
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager


@contextmanager
def cbreak() -> Iterator[bool]:
    """The terminal gives each key at once inside; False where standard input is no terminal."""
    if not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def pressed() -> AsyncIterator[str]:
    """Each key as it is pressed; for ever."""
    keys: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: keys.put_nowait(sys.stdin.read(1)))
    try:
        while True:
            yield await keys.get()
    finally:
        loop.remove_reader(sys.stdin)
