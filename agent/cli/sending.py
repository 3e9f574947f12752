"""`edgetwin fleet send`: a bundle to the broker of its gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import typer

from agent.cli.telling import fail

if TYPE_CHECKING:
    from agent.sinks.mqtt import Config

LAST = {"confirmed": 0, "refused": 1, "rolled_back": 1}
NOT_YET = 4


def send(
    path: Path,
    broker: str,
    prefix: str,
    tls: bool,
    ca: Path | None,
    cert: Path | None,
    cert_key: Path | None,
    user: str | None,
    password_file: Path | None,
    wait_s: float,
) -> None:
    """Publish, print each report, end with the outcome."""
    from agent.cli import packing
    from agent.sinks.mqtt import offering

    bundle, manifest = packing.opened(path)
    config = _config(
        broker, tls=tls, ca_file=ca, cert_file=cert, key_file=cert_key, user=user, password_file=password_file
    )
    prefix = prefix or f"edgetwin/{manifest.gateway}"
    states: list[str] = []

    async def main() -> None:
        await offering.send(config, prefix, f"fleet-{manifest.gateway}", bundle, said(states), wait_s)

    try:
        anyio.run(main)
    except OSError as error:
        fail(f"{broker}: {error}")
    end(states, f"it stays at the broker as {prefix}/desired")


def said(states: list[str]) -> Callable[[Mapping[str, Any]], bool]:
    """Prints each new state of a report; True once it is the last."""
    before: list[str] = []

    def told(report: Mapping[str, Any]) -> bool:
        line = " ".join(filter(None, (report["state"], report["reason"])))
        if [line] != before:
            typer.echo(line)
            before[:] = [line]
        states.append(report["state"])
        return report["state"] in LAST

    return told


def end(states: list[str], until_then: str) -> NoReturn:
    """With the outcome as the exit code."""
    if states and states[-1] in LAST:
        raise typer.Exit(LAST[states[-1]])
    fail(f"no outcome yet ({states[-1] if states else 'the gateway has not answered'}); {until_then}", NOT_YET)


def _config(broker: str, **options: Any) -> Config:
    import pydantic

    from agent.sinks.mqtt import Config

    try:
        return Config(brokers=(broker,), **options)
    except pydantic.ValidationError as error:
        fail(f"--broker {broker}: {error.errors()[0]['msg'].removeprefix('Value error, ')}", 2)
