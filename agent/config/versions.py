"""What a configuration must keep to be a version of a fleet: the gateway's name, its memory where it is, its guard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.config.load import Loaded
from agent.config.problems import Problem, problem


def problems(found: Loaded, gateway: str) -> list[Problem]:
    """Why a configuration that is right cannot run on this gateway of a fleet."""
    return list(_problems(found, gateway))


def _problems(found: Loaded, gateway: str) -> Iterator[Problem]:
    about, tree = found.file.gateway, found.tree
    if about.id != gateway:
        text = f"is of gateway {about.id}, expected {gateway}: an id never changes"
        yield problem(tree.mark(("gateway", "id")), text)
    if about.managed != "fleet":
        text = f"managed is {about.managed}, expected fleet: the machine's own file decides when that ends"
        yield problem(tree.mark(("gateway", "managed")), text)
    if about.models.signature != "required":
        text = "signature is warn, expected required: what comes from outside loads signed models only"
        yield problem(tree.mark(("gateway", "models", "signature")), text)
    for at, path in ((("journal", "path"), found.file.journal.path), (("feed", "socket"), found.file.feed.socket)):
        if path is not None and not Path(path).is_absolute():
            text = f"{path} would lie in the folder of this version, expected an absolute path or none"
            yield problem(tree.mark(at), text)
