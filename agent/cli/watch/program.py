"""The view as a program: feed in, screen out, keys handled; the feed is found again whenever it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from agent.cli.feeding import socket_of
from agent.cli.watch import keys as keyboard
from agent.cli.watch.history import View
from agent.cli.watch.screen import draw
from agent.runtime import clock
from agent.sinks.feed.client import connect


@dataclass(frozen=True, slots=True)
class Key:
    """What a key is called on the screen, and what it does; what it returns is shown."""

    label: str
    act: Callable[[], Awaitable[str]]


def run(file: Path | None, socket: Path | None, state_dir: Path | None) -> None:
    """Watch the daemon until `q` or Ctrl-C."""
    path = socket_of(file, socket, state_dir)
    try:
        asyncio.run(watch(path, {}))
    except KeyboardInterrupt:
        return


async def watch(path: Path, keys: Mapping[str, Key]) -> None:
    """Show the feed at `path` until `q`."""
    view = View()
    labels = "  ".join([*(f"{key} {k.label}" for key, k in keys.items()), "q quit"])
    with keyboard.cbreak() as has_keys, Live(console=Console(), screen=True, auto_refresh=False) as live:
        tasks = [asyncio.create_task(_follow(path, view)), asyncio.create_task(_redraw(live, view, labels))]
        if has_keys:
            tasks.append(asyncio.create_task(_obey(keys, view)))
        _, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _follow(path: Path, view: View) -> None:
    while True:
        try:
            async with connect(path) as feed:
                view.notice = ""
                async for noun in feed:
                    view.take(noun)
        except ConnectionError as error:
            view.notice = str(error)
        else:
            view.notice = "the daemon has gone; waiting for it"
        await asyncio.sleep(0.5)


async def _redraw(live: Live, view: View, labels: str) -> None:
    while True:
        live.update(draw(view, labels, clock.now_ns(), clock.wall_ns(), live.console.width), refresh=True)
        await asyncio.sleep(0.25)


async def _obey(keys: Mapping[str, Key], view: View) -> None:
    async for key in keyboard.pressed():
        if key == "q":
            return
        if key in keys:
            view.notice = await keys[key].act()
