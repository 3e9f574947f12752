"""Lets Requests through, or says why not: authorises, audits, routes. Nothing else connects a sink to a machine.

Writing to a plant is off: no configuration of this version can allow it, so every write is refused and audited.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agent.control.deploy import ORDERS
from agent.core.nouns import Answer, Command, Event, Request, Snapshot
from agent.runtime import clock
from agent.runtime.inbox import Inbox

if TYPE_CHECKING:
    from agent.control.deploy.fleet import Fleet

log = logging.getLogger(__name__)

OF_MODEL = ("promote", "rollback")
COMMANDS = ("ack", "shelve", "unshelve", "close", "maintenance", *OF_MODEL)
GATEWAY = "gateway"

# What a sink asks before it sends stored records once more: nothing to route, but written down.
OF_HISTORY = ("resend", "raw")


class Gate:
    """Knows the inboxes of the assets, their newest snapshots, and where audit entries go."""

    def __init__(
        self,
        inboxes: Mapping[str, Inbox],
        newest: Mapping[str, Snapshot],
        audit: Callable[[Event], None],
        fleet: Fleet | None = None,
    ) -> None:
        """Route to `inboxes`, and to `fleet` what is its to decide; targets are looked up in `newest`; each decision
        is told to `audit`."""
        self._inboxes = inboxes
        self._newest = newest
        self._audit = audit
        self._fleet = fleet
        self._count = 0

    async def ask(self, request: Request) -> Answer:
        """Decide, audit, route; the answer says what became of it."""
        if request.do in ORDERS:
            return await self._of_fleet(request)
        why_not, asset = self._decide(request)
        self._write_down(request, asset, why_not)
        if why_not:
            return Answer(request.id, False, why_not)
        if request.do in OF_HISTORY:
            return Answer(request.id, True, f"{request.do} {request.target}: allowed")
        command = Command(request.id, request.do, request.target, request.user, request.args)
        self._inboxes[asset].command(command)
        if self._fleet is not None and request.do in OF_MODEL:
            await self._fleet.promoted(request)
        return Answer(request.id, True, f"{request.do} {request.target}: passed to {asset}")

    async def _of_fleet(self, request: Request) -> Answer:
        """What the gateway is to run: decided where versions are known."""
        if self._fleet is None:
            answer = Answer(request.id, False, "this gateway is managed by itself (managed: local)")
        elif not request.user:
            answer = Answer(request.id, False, "who asks is not known")
        else:
            answer = await self._fleet.obey(request)
        self._write_down(request, GATEWAY, "" if answer.ok else answer.text, answer.text)
        return answer

    def _decide(self, request: Request) -> tuple[str, str]:
        """(why not, asset)."""
        if not request.user:
            return "who asks is not known", ""
        if request.do == "write":
            return "writing is off: the configuration allows no tag to be written", ""
        if request.do in OF_HISTORY:
            return "", ""
        if request.do not in COMMANDS:
            return f"{request.do!r} is not known, expected one of {', '.join((*COMMANDS, *ORDERS))}", ""
        if request.do == "maintenance" or request.do in OF_MODEL:
            machines = [asset for asset in self._inboxes if asset != GATEWAY]
            name, _, model = request.target.partition("/")
            if request.do in OF_MODEL and not model:
                return f"{request.do} of {request.target!r}, expected asset/model", ""
            if self._fleet is not None and request.do in OF_MODEL and self._fleet.why_not_local():
                return self._fleet.why_not_local(), ""
            known_here = (name if request.do in OF_MODEL else request.target) in machines
            return ("", name) if known_here else (f"no asset {name!r}{_listed(machines)}", "")
        for asset, snapshot in self._newest.items():
            known = {c.id for c in snapshot.conditions}
            if request.do == "close":
                known = {snapshot.case.id} if snapshot.case else set()
            if request.target in known:
                return "", asset
        return f"no {'case' if request.do == 'close' else 'condition'} {request.target!r} here", ""

    def _write_down(self, request: Request, asset: str, why_not: str, became: str = "") -> None:
        self._count += 1
        now_ns = clock.now_ns()
        outcome = f"refused: {why_not}" if why_not else f"allowed{became and ': '}{became}"
        text = f"{request.do} {request.target} {dict(request.args) or ''}: {outcome}"
        log.info("audit: %s asked %s", request.user, text)
        about = asset or "gateway"  # what no asset was found for is the gateway's own affair
        self._audit(Event(f"audit-{now_ns:x}-{self._count}", about, now_ns, "audit", text, request.user))


def _listed(names: list[str]) -> str:
    return f", expected one of {', '.join(names)}" if names else ""
