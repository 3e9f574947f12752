"""The command line. Nothing heavy is imported before a command uses it."""

from __future__ import annotations


def main() -> None:
    """Run the `edgetwin` command."""
    from agent.cli.commands import app

    app()
