"""Users of the OPC UA server: adds one to the file of salted hashes."""

from __future__ import annotations

import getpass
from pathlib import Path

import typer

from agent.cli.telling import fail
from agent.sinks.opcua import users


def add(name: str, users_file: Path, role: str, password_file: Path | None) -> None:
    """Ask for the password (or read it) and write the file."""
    password = password_file.read_text().strip() if password_file else getpass.getpass(f"password of {name}: ")
    try:
        users.add(users_file, name, password, role)
    except (OSError, ValueError) as error:
        fail(str(error))
    typer.echo(f"{name} ({role}) is in {users_file}")
