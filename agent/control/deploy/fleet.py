"""The task of a gateway under `managed: fleet`: validates what is staged, applies it, confirms it or takes it back.

Nothing of a version is read in this process before a child has checked it (`edgetwin check`). Applying is a start of
the daemon: the state says what runs next, everything ends as it always does, and the process begins anew.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from agent.control.deploy import orders
from agent.control.deploy import state as states
from agent.control.deploy.health import Vitals, worse
from agent.control.deploy.manifest import TIME, File
from agent.control.deploy.orders import Outcome, Place, Refused
from agent.control.deploy.report import drift, models, report
from agent.control.deploy.state import Deployment
from agent.core.nouns import Answer, Event, Request
from agent.runtime import clock, meters
from agent.runtime.pki import making
from agent.runtime.reported import Reported

log = logging.getLogger(__name__)

TURN_S = 0.5
STEADY_S, STEADY = 5.0, 0.25  # so long without a break it must be well, and at most that share of its time
CHECK_S = 180.0
POLITELY = "import os; os.nice(10); from agent.cli import main; main()"  # acquisition comes first
DRIFT_S = 30.0
GATEWAY = "gateway"


class Fleet:
    """Where this gateway stands, the newest of it, and who changes it: one order or one turn at a time."""

    def __init__(self, place: Place, now: Deployment, confirm_s: float) -> None:
        """`confirm_s`: so long a version has to become well."""
        self.now = now
        self.reported = Reported(place.shelf.incoming)
        self.missing: tuple[File, ...] = ()
        self._place, self._confirm_s, self._runs = place, confirm_s, now.in_force
        self._one = anyio.Lock()
        self._refusal: Refused | None = None
        self._begun_ns = self._worse_ns = 0
        self._drift: list[dict[str, Any]] = []
        self._models: dict[str, str] = {}
        self._noted: Mapping[str, Any] = {}
        self._looked_ns = 0

    @property
    def again(self) -> bool:
        """Whether the daemon is to start again: something else is in force than what it runs."""
        return self.now.in_force != self._runs

    def why_not_local(self) -> str:
        """Why nobody here may change what runs; "" while somebody answers for it."""
        if self.now.override is not None:
            return ""
        return "this gateway is managed by the fleet: edgetwin fleet override --reason WHY --until TIME first"

    async def obey(self, request: Request) -> Answer:
        """Carry out one of ORDERS. The answer says what became of it, or why not; it never raises."""
        async with self._one:
            try:
                outcome = await to_thread.run_sync(self._carried_out, request)
                self.missing = outcome.missing if request.do == "apply" else self.missing
                await self._keep(outcome.now)
            except Refused as why:
                self._refusal = why if request.do == "apply" else self._refusal
                answer = Answer(request.id, False, str(why))
            except OSError as error:
                return Answer(request.id, False, f"it cannot be kept: {error}")
            else:
                self._refusal = None
                answer = Answer(request.id, outcome.ok, outcome.text)
            await self._look()  # whoever asks next finds the drift that this brought
            self._tell()
            await self._note()
            return answer

    def _carried_out(self, request: Request) -> Outcome:
        if request.do == "apply":
            return orders.offer(self._place, self.now, request.target)
        if request.user.startswith("cloud:"):
            raise Refused("only somebody here can override what the fleet says")
        if request.do == "override":
            return orders.override(self._place, self.now, request.user, request.args)
        return orders.release(self.now, request.user)

    async def promoted(self, request: Request) -> None:
        """A model was promoted or rolled back under an override: that ends with it."""
        async with self._one:
            override = self.now.override
            if override is not None:
                done = (*override.promoted, f"{request.do} {request.target}")
                self.now = replace(self.now, override=replace(override, promoted=done))
                try:
                    await self._keep(self.now)
                except OSError as error:
                    log.warning("fleet: %s %s is kept with the next change: %s", request.do, request.target, error)

    async def run(
        self,
        vitals: Callable[[], Vitals],
        ask: Callable[[Request], Awaitable[Answer]],
        audit: Callable[[Event], None],
    ) -> None:
        """Take what lies in `incoming`; then turn until the daemon is to start again. OSError: the disk is full."""
        self._begun_ns = self._begun_ns or clock.now_ns()  # a run before this one may have met a full disk
        self._worse_ns = clock.now_ns()
        self._tell()
        await self._tidy()
        for path in sorted(self._place.shelf.incoming.glob("*.bundle")):
            await ask(Request(f"incoming-{path.name}", "apply", path.name, "whoever put it there"))
        while not self.again:
            if orders.expired(self.now):
                await self._end_override(ask)
            async with self._one:
                await self._told(audit)
                due = await self._turn(vitals)
                await self._look()
                await self._note()
            if due:  # without the lock: a check takes its time, and whoever asks meanwhile is answered
                await self._apply(due, await self._checked(due), vitals)
            await anyio.sleep(0 if self.again else TURN_S)
        await self._told(audit)
        await self._note()

    async def _turn(self, vitals: Callable[[], Vitals]) -> str:
        """One look at what is tried, or at what is staged; the folder of what is to be checked now, if any."""
        if self.now.trial:
            await self._judge(vitals())
        elif self.now.starts and clock.now_ns() - self._begun_ns > self._confirm_s * 1e9:
            await self._keep(states.lasted(self.now))
        elif self.now.candidate and not await self._held():
            await self._keep(states.validating(self.now))
            return self.now.candidate
        return ""

    async def _judge(self, now: Vitals) -> None:
        """Confirm a trial once it has been well for a while, or go back when its time is over and it is not."""
        now_ns, wrong = clock.now_ns(), worse(self.now.well, self.now.ill, now)
        if not wrong and now_ns - self._worse_ns >= min(STEADY_S, STEADY * self._confirm_s) * 1e9:
            await self._keep(states.confirmed(self.now))
            await self._tidy()
        if wrong and now_ns - self._begun_ns > self._confirm_s * 1e9:
            reason = f"not well within {self._confirm_s:g} s: {', '.join(wrong)}"
            await self._keep(states.fallen_back(self.now, reason))
        self._worse_ns = now_ns if wrong else self._worse_ns

    async def _held(self) -> bool:
        """Whether what is staged must wait, which the report says."""
        now = self.now
        manifest = await to_thread.run_sync(self._place.shelf.manifest, now.candidate)
        ours = states.version_of(now.candidate) is None
        reason = ""
        if now.override is not None and not ours:
            reason = f"waits for the end of a local override by {now.override.by}, {now.override.until}"
        elif manifest.not_before > f"{making.wall():{TIME}}":
            reason = f"waits until {manifest.not_before}"
        if reason and reason != now.reason:
            self.now = replace(now, reason=reason)
            self._tell()
        return bool(reason)

    async def _apply(self, checked: str, why: str, vitals: Callable[[], Vitals]) -> None:
        """The next start tries what was checked, or it is refused, unless something newer came meanwhile."""
        async with self._one:
            if self.now.candidate != checked:
                return
            if not why:
                now = vitals()
                await self._keep(states.applying(self.now, now.well, now.ill))
                return
            ours = states.version_of(checked) is None
            refused = states.refused(self.now, why)
            await self._keep(states.override_over(refused, "it was refused") if ours else refused)
            await self._tidy()

    async def _checked(self, folder: str) -> str:
        """Why a version cannot run here, as `edgetwin check` says in a process of its own; "" where it can."""
        place = self._place
        try:
            file = await to_thread.run_sync(place.shelf.configuration, folder)
            options = ("--state-dir", str(place.shelf.folder.parent), "--gateway", place.gateway)
            command = [sys.executable, "-c", POLITELY, "check", str(file), *options]
            with anyio.fail_after(CHECK_S):
                done = await anyio.run_process(command, check=False)
        except (OSError, ValueError) as error:
            return str(error) or f"the check took more than {CHECK_S:g} s"
        if done.returncode == 0:
            return ""
        said = done.stderr.decode(errors="replace").replace(f"{file.parent}/", "").strip().splitlines()
        told = said[:-1] or [*said, f"the check ended with {done.returncode}"]  # the last line only counts them
        more = f" (and {len(told) - 3} more)" if len(told) > 3 else ""
        return "; ".join(told[:3])[:2000] + more

    async def _end_override(self, ask: Callable[[Request], Awaitable[Answer]]) -> None:
        """Its time is over: models that were promoted under it go back, what ran before it runs again."""
        override = self.now.override
        assert override is not None
        for done in reversed(override.promoted):
            do, _, target = done.partition(" ")
            await ask(Request(f"override-{do}", orders.UNDO[do], target, override.by, {"reason": "override is over"}))
        async with self._one:
            await self._keep(states.override_over(self.now, f"its time is over, {override.until}"))

    async def _look(self) -> None:
        """For drift, and for the models in force, now and then."""
        if not self._looked_ns or clock.now_ns() - self._looked_ns > DRIFT_S * 1e9:
            self._drift = await to_thread.run_sync(partial(drift, self._place, self.now))
            self._models = await to_thread.run_sync(partial(models, self._place, self.now))
            self._looked_ns = clock.now_ns()
            self._tell()

    async def _tidy(self) -> None:
        """Remove versions that nobody needs any more."""
        await to_thread.run_sync(self._place.shelf.tidy, self.now.folders)

    async def _keep(self, after: Deployment) -> None:
        """Write it, believe it, say it."""
        await to_thread.run_sync(self._place.shelf.keep, after)
        if (after.state, after.about) != (self.now.state, self.now.about):
            log.info("fleet: %s %s", after.state, after.reason)
            self._refusal = None
        self.now = after
        self._looked_ns = 0
        self._tell()

    async def _note(self) -> None:
        """The newest report beside the state, for `edgetwin fleet status`; a disk that does not take it is told."""
        if self._noted != self.reported.newest:
            self._noted = self.reported.newest
            try:
                await to_thread.run_sync(self._place.shelf.note, dict(self._noted))
            except OSError as error:
                log.warning("fleet: the report cannot be written: %s", error)

    def _tell(self) -> None:
        said = report(self._place.gateway, self.now, self._refusal, self.missing, self._models, self._drift)
        for name in ("desired", "running"):
            meters.current().set(f"fleet/{name}", said[name] or 0)
        meters.current().set("fleet/drift", len(self._drift))
        self.reported.publish(said)

    async def _told(self, audit: Callable[[Event], None]) -> None:
        """What happened since, as audit rows; that it was told is kept with the next change."""
        for number, text in enumerate(self.now.notes):
            log.info("audit: fleet: %s", text)
            now_ns = clock.now_ns()
            audit(Event(f"fleet-{now_ns:x}-{number}", GATEWAY, now_ns, "audit", f"fleet: {text}", "fleet"))
        if self.now.notes:
            self.now = replace(self.now, notes=())
            await to_thread.run_sync(self._place.shelf.keep, self.now)
