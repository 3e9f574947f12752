"""Requests to the running daemon: acknowledge, shelve, close."""

from __future__ import annotations

from pathlib import Path

import typer

from agent.cli import feeding
from agent.cli.telling import fail


def run(
    do: str, target: str, args: dict[str, str], file: Path | None, socket: Path | None, state_dir: Path | None
) -> None:
    """Ask, print the answer; exit 1 where it is no."""
    path = feeding.socket_of(file, socket, state_dir)
    answer = feeding.sync(lambda: feeding.ask(path, do, target, args))
    if not answer.ok:
        fail(answer.text)
    typer.echo(answer.text)
