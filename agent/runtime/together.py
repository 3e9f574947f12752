"""Several loops of one unit, run side by side: when one fails the others end, and its error comes out bare."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio


async def together(*loops: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until all have ended or one fails. Of several errors a bug (not OSError) is raised before an I/O error."""
    try:
        async with anyio.create_task_group() as group:
            for loop in loops:
                group.start_soon(loop)
    except BaseExceptionGroup as failed:
        raise _telling(failed) from None


def _telling(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves = _leaves(failed)
    return next((e for e in leaves if not isinstance(e, OSError)), leaves[0])


def _leaves(failed: BaseException) -> list[BaseException]:
    if isinstance(failed, BaseExceptionGroup):
        return [leaf for inner in failed.exceptions for leaf in _leaves(inner)]
    return [failed]
