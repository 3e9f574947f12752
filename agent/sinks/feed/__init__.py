"""The local feed: a Unix socket that shows the newest of everything and takes Requests back (decision 6).

`protocol` and `client` are cheap to import (no pydantic, no anyio): the OPC UA child and the command line use them.
Config and run, which the daemon uses, are therefore brought in on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.sinks.feed.server import Config, run

__all__ = ["Config", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from agent.sinks.feed import server

    return getattr(server, name)
