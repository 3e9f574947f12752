"""What a request says, read key by key: each error names the key, what stands there and what was expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent.sinks.mqtt import payload

MOST_BYTES = 4096
LONGEST_TEXT = 200
MOST = 1 << 62

Tree = Mapping[str, Any]


class RequestError(ValueError):
    """Why not, and what was expected."""


def answer(tree: Tree, ok: bool, text: str, **more: Any) -> bytes:
    """The answer to a request."""
    asked = {key: tree[key] for key in ("id", "do") if _is_word(tree.get(key))}
    return payload.json_of({**asked, "ok": ok, "text": text, **more})


def tree_of(content: bytes) -> dict[str, Any]:
    """The object that a message holds."""
    if len(content) > MOST_BYTES:
        raise RequestError(f"{len(content)} bytes, expected a request of at most {MOST_BYTES}")
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestError(f'not JSON ({error}), expected {{"id": "1", "do": "status"}}') from None
    if not isinstance(tree, dict):
        raise RequestError('not an object, expected {"id": "1", "do": "status"}')
    return tree


def expect(tree: Tree, *keys: str) -> None:
    """Refuse keys that mean nothing here."""
    unknown = [key for key in tree if key not in ("id", "do", *keys)]
    if unknown:
        raise RequestError(f"{unknown[0]!r} is not known, expected {', '.join(('id', 'do', *keys))}")


def word(tree: Tree, key: str) -> str:
    """A short text."""
    value = tree.get(key)
    if not isinstance(value, str) or not _is_word(value):
        raise RequestError(f"{key}: {shown(value)}, expected a text of 1 to {LONGEST_TEXT} characters")
    return value


def _is_word(value: Any) -> bool:
    """Whether it may stand in a log and in an answer."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable()


def whole(tree: Tree, key: str) -> int:
    """A number to count with."""
    value = tree.get(key)
    if type(value) is not int or not 0 <= value < MOST:
        raise RequestError(f"{key}: {shown(value)}, expected a whole number")
    return value


def utc_ns(tree: Tree, key: str) -> int:
    """A time as ISO 8601 with its offset, or as UTC nanoseconds since 1970."""
    value = tree.get(key)
    if type(value) is int and 0 <= value < MOST:
        return value
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RequestError(f"{key}: {shown(value)}, expected a time such as 2026-11-24T10:00:00Z or nanoseconds")
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    ns = (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    if not 0 <= ns < MOST:
        raise RequestError(f"{key}: {shown(value)}, expected a time from 1970 to 2116")
    return ns


def comment(tree: Tree) -> dict[str, str]:
    """What a person says to it, if anything."""
    return {"comment": word(tree, "comment")} if "comment" in tree else {}


def shown(value: Any) -> str:
    """What stands there, short."""
    return "nothing" if value is None else repr(value)[:60]
