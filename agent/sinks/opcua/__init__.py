"""The OPC UA server for SCADA: a child process of its own (decision 5), so that its stalls never touch acquisition.

`child` runs in the daemon and looks after the process; `server` is the process. Config and run are brought in on first
use, because the child imports this package too and does without pydantic and anyio's process machinery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.sinks.opcua.child import Config, run

__all__ = ["Config", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from agent.sinks.opcua import child

    return getattr(child, name)
