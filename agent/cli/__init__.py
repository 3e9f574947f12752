"""The command line. Nothing heavy is imported before a command uses it."""

from __future__ import annotations

import os


def main() -> None:
    """Run the `edgetwin` command."""
    # The matrices of a twin are small: a second thread of the linear algebra spins a core and changes the last bits.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from agent.cli.commands import app

    app()
