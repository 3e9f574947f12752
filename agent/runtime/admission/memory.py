"""What this gateway knows of model files by their hash: that they ran here, and how their trial in a child went.

models/ran.json, models/tried.json. A file that is not there, or cannot be read, says nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MOST = 256  # the latest; a gateway has a few


def ran(state_dir: Path) -> frozenset[str]:
    """Hashes of files that ran here."""
    return frozenset(_read(state_dir / "models" / "ran.json"))


def remember_ran(state_dir: Path, hashes: Iterable[str], when: str) -> None:
    """Note that files run here now, since `when` (UTC) unless they did before."""
    before = _read(state_dir / "models" / "ran.json")
    _write(state_dir / "models" / "ran.json", before, {each: before.get(each, when) for each in hashes})


def tried(state_dir: Path, key: str) -> str | None:
    """What runs a file, as its trial found it; None where it was not tried, or failed."""
    found = _read(state_dir / "models" / "tried.json").get(key)
    return found if isinstance(found, str) else None


def remember_tried(state_dir: Path, key: str, by: str) -> None:
    """Note that a trial went well, where there is a state directory."""
    if state_dir.is_dir():
        _write(state_dir / "models" / "tried.json", _read(state_dir / "models" / "tried.json"), {key: by})


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, before: dict[str, Any], new: dict[str, Any]) -> None:
    after = {**{name: value for name, value in before.items() if name not in new}, **new}
    if after == before:
        return
    from agent.runtime.pki import making

    try:
        making.folder(path.parent)
        making.put(path, json.dumps(dict(list(after.items())[-MOST:]), indent=1).encode(), 0o600)
    except OSError as error:
        log.warning("models: %s cannot be written: %s", path, error.strerror)
