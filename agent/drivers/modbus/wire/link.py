"""The way to a Modbus endpoint, opened when it is needed. One request at a time; after anything but an answer the
connection is renewed, so that nothing late is ever taken for the answer to another request. A serial port stays open
and is listened to instead (quiet.py says for how long)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import anyio
from pymodbus.pdu import ModbusPDU

from agent.core.address import Table
from agent.core.blocks import Block
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.wire import bustrace, security
from agent.drivers.modbus.wire.answers import Reply, Values, values_of
from agent.drivers.modbus.wire.backup import Choice
from agent.drivers.modbus.wire.bustrace import BusTrace
from agent.drivers.modbus.wire.conversation import Conversation, ignored
from agent.drivers.modbus.wire.errors import NoAnswerError, Refused, UnreachableError
from agent.drivers.modbus.wire.opening import endpoints, opened
from agent.drivers.modbus.wire.quiet import Quiet, silence_s
from agent.drivers.modbus.wire.requests import masking, named, reading, writing
from agent.runtime import clock, meters

__all__ = ["Link", "NoAnswerError", "Refused", "UnreachableError"]

log = logging.getLogger(__name__)

# How many timeouts after its own an answer without a number is still waited for.
LATE = 2.0
# What is still to come on a line outlives the driver that asked for it and was started again.
LINES: dict[tuple[str, float, float], Quiet] = {}


class Link:
    """The way to one endpoint, or to its backup. `timeout_s` is waited for an answer."""

    def __init__(self, config: Config, timeout_s: float) -> None:
        """Prepare, without connecting."""
        # pymodbus logs a dump of its last frames with each failure; what matters comes out as our errors.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
        self.config = config
        self.timeout_s = timeout_s
        self._endpoints = endpoints(config)
        self._choice = Choice(len(self._endpoints), config.return_after_s)
        self._conversation: Conversation | None = None
        self._turn = anyio.Lock(fast_acquire=True)
        self._quiet = _quiet(config, timeout_s)
        self._pause_ns = int(config.pause_between_requests_s * 1e9)
        self._next_ns = 0
        self._trace = _trace(config)
        self._valid_until_s: float | None = None
        if config.certificate is not None:
            meters.current().gauge(f"{config.id}/certificate_days", self._certificate_days)
        self._requests, self._rtt = f"{config.id}/requests", f"{config.id}/rtt_s"
        if len(self._endpoints) > 1:
            meters.current().set(f"{config.id}/backup", 0.0)

    async def read(self, block: Block, once: bool = False, stay: bool = False) -> tuple[Values, int]:
        """The values of a block, registers u2[count] or bits bool[count], and when they came. Refused, OSError.

        Of OSErrors, TimeoutError and NoAnswerError are about this block, after as many tries as may be (`once`: one);
        UnreachableError says that there is no connection. `stay`: it is no moment to go back from the backup.
        """
        request = reading(block)
        tries = 1 if once else 1 + self.config.repeats
        while True:
            try:
                reply, t_ns = await self._ask(request, may_return=not stay)
                return values_of(reply, block.count), t_ns
            except (TimeoutError, NoAnswerError):
                tries -= 1
                if not tries:
                    raise

    async def write(self, unit: int, table: Table, start: int, values: Sequence[int]) -> None:
        """Write coils (FC 5, 15) or holding registers (FC 6, 16), sent once. Refused, OSError.

        UnreachableError: nothing was written; after any other OSError nobody knows.
        """
        await self._ask(writing(unit, table, start, values, self.config.write_multiple), may_return=False)

    async def mask(self, unit: int, start: int, mask: int, value: int) -> None:
        """Write the bits of `mask` in one holding register (FC 22), sent once. Errors as in `write`."""
        await self._ask(masking(unit, start, mask, value), may_return=False)

    async def _ask(self, request: ModbusPDU, may_return: bool = True) -> tuple[Reply, int]:
        unit = request.dev_id
        if self._quiet is not None:
            await _sleep_until(self._quiet.owed_ns(unit))  # before our turn: others need not wait for it
        async with self._turn:
            conversation = await self._connected(may_return)
            if self._quiet is not None or self._pause_ns:
                await self._keep_quiet(unit)
            reply, t_ns = await self._exchange(conversation, request)
            self._choice.answered(unit)
            if reply.exception_code:
                refused = Refused(self._named(request), reply.exception_code)
                self._count(refused, unit)
                raise refused
            return reply, t_ns

    async def _exchange(self, conversation: Conversation, request: ModbusPDU) -> tuple[Reply, int]:
        counts, unit, answered, silent = meters.current(), request.dev_id, False, True
        counts.add(self._requests)
        asked_ns = clock.now_ns()
        try:
            reply = await conversation.ask(request)
            answered = True
        except (TimeoutError, NoAnswerError) as error:
            silent = isinstance(error, TimeoutError)
            said = type(error)(f"{self._named(request)}: {error}")
            self._count(said, unit)
            self._move(unit)
            raise said from None
        finally:
            t_ns = clock.now_ns()
            self._next_ns = t_ns + self._pause_ns
            if not answered:
                self._unanswered(unit, t_ns, silent)
            elif self._quiet is not None:
                self._quiet.answered(unit, t_ns)
        counts.set(self._rtt, (t_ns - asked_ns) * 1e-9)
        return reply, t_ns

    def _unanswered(self, unit: int, now_ns: int, silent: bool) -> None:
        if self._quiet is not None:
            self._quiet.unanswered(unit, now_ns, silent)
        if not self.config.serial:
            self._drop()

    def _named(self, request: ModbusPDU) -> str:
        return f"{self._endpoints[self._choice.at]} {named(request)}"

    def _count(self, error: Exception, unit: int | None = None) -> None:
        counts, source = meters.current(), self.config.id
        counts.add(f"{source}/errors")
        counts.add(f"{source}/{getattr(error, 'meter', 'timeouts')}")
        if unit is not None:
            counts.add(f"{source}/unit_{unit}_errors")

    async def _keep_quiet(self, unit: int) -> None:
        quiet_ns = 0 if self._quiet is None else self._quiet.until_ns(unit)
        await _sleep_until(max(self._next_ns, quiet_ns))

    def _heard(self, first: int, asked: int | None) -> None:
        if self._quiet is not None:
            self._quiet.heard(clock.now_ns(), first, asked)

    async def _connected(self, may_return: bool) -> Conversation:
        found = self._conversation
        if found is None or not found.is_active():
            return await self._open()
        if may_return and self._choice.due(clock.now_ns()):
            return await self._returned(found)
        return found

    async def _open(self) -> Conversation:
        failures = []
        for endpoint in self._choice.both:
            try:
                made = await self._opened(endpoint)
            except UnreachableError as error:
                failures.append(str(error))
                continue
            self._use(endpoint, "cannot be reached")
            self._conversation = made
            await anyio.sleep(self.config.pause_after_connect_s)
            return made
        raise UnreachableError("; ".join(failures))

    async def _returned(self, backup: Conversation) -> Conversation:
        """The main endpoint if it can be connected again, else the backup, which stays connected until then."""
        try:
            made = await self._opened(0)
        except UnreachableError:
            return backup
        backup.end()
        self._use(0, "is the backup")
        self._conversation = made
        await anyio.sleep(self.config.pause_after_connect_s)
        return made

    async def _opened(self, endpoint: int) -> Conversation:
        to, within_s = self._endpoints[endpoint], self.config.connect_timeout(self.timeout_s)
        if self._quiet is not None:
            self._quiet.opened()
        try:
            with anyio.fail_after(within_s):
                made = await opened(self.config, to, self.timeout_s, self._heard, self._traced())
        except OSError as error:
            why = f"no connection within {within_s:g} s" if isinstance(error, TimeoutError) else error
            unreachable = UnreachableError(f"{to}: {why}")
            self._count(unreachable)
            raise unreachable from error
        if self.config.certificate is not None:
            self._valid_until_s = security.valid_until(self.config.certificate).timestamp()
        return made

    def _certificate_days(self) -> float | None:
        return None if self._valid_until_s is None else (self._valid_until_s - clock.wall_ns() * 1e-9) / 86400

    def _move(self, unit: int) -> None:
        """Go over to the other endpoint where the one in use answers nothing any more."""
        choice = self._choice
        before = choice.at
        choice.unanswered(unit, clock.now_ns())
        self._tell(before, "does not answer")

    def _use(self, endpoint: int, why: str) -> None:
        before = self._choice.at
        self._choice.use(endpoint, clock.now_ns())
        self._tell(before, why)

    def _tell(self, before: int, why: str) -> None:
        now = self._choice.at
        if now != before:
            log.warning("%s: %s %s, reading %s", self.config.id, self._endpoints[before], why, self._endpoints[now])
            meters.current().set(f"{self.config.id}/backup", float(now))

    def _traced(self) -> Callable[[str, bytes], None]:
        if self._trace is None:
            return ignored
        number = self._trace.connection()
        self._trace.put(number, bustrace.OPENED, b"")
        return partial(self._trace.put, number)

    def peace_ns(self, unit: int) -> int:
        """Until when an answer of `unit` may still be on its way: a request made before would wait for that."""
        return 0 if self._quiet is None else self._quiet.owed_ns(unit)

    def close(self) -> None:
        """Close what is open; a request that follows would open it again."""
        self._drop()
        if self._trace is not None:
            self._trace.close()

    def _drop(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.end()


def _quiet(config: Config, timeout_s: float) -> Quiet | None:
    if config.numbered:
        return None
    between_s = silence_s(config.baudrate, config.bits_per_character) if config.transport == "rtu" else 0.0
    return LINES.setdefault((config.where, between_s, timeout_s), Quiet(between_s, LATE * timeout_s))


def _trace(config: Config) -> BusTrace | None:
    if config.trace_file is None:
        return None
    about = {"source": config.id, "transport": config.transport}
    return BusTrace(config.trace_file, config.trace_mb, about)


async def _sleep_until(due_ns: int) -> None:
    rest_ns = due_ns - clock.now_ns()
    if rest_ns > 0:
        await anyio.sleep(rest_ns * 1e-9)
