"""A bus trace (of `edgetwin trace`, or of the option trace_file) as a device: what it answered to each request."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hil.frames import MASK, READS, SINGLE, Frame, key, read_answer, read_values, whole

SENT, RECEIVED, LOST = ">", "<", "x"
NO_SUCH_ADDRESS = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request after `delay_s`: an answer, bytes that are none, nothing; then `closed` or not."""

    answer: Frame | None = None
    raw: bytes = b""
    delay_s: float = 0.0
    closed: bool = False


@dataclass(slots=True)
class Asked:
    """A request of the recording and what came after it."""

    request: Frame
    sent: bytes
    t_ns: int
    heard: bytes = b""
    heard_ns: int = 0
    closed: bool = False


@dataclass(slots=True)
class Recording:
    """The outcomes of each request in the order in which they were recorded.

    `known` has the newest value that was read of each register or bit, by unit, function and address.
    """

    transport: str = "tcp"
    outcomes: dict[tuple[int, bytes], list[Outcome]] = field(default_factory=dict)
    known: dict[tuple[int, int, int], int] = field(default_factory=dict)
    _next: dict[tuple[int, bytes], int] = field(default_factory=dict)

    def add(self, request: Frame, outcome: Outcome) -> None:
        """Take what became of a request."""
        self.outcomes.setdefault(key(request), []).append(outcome)
        if outcome.answer is not None and outcome.answer.pdu[0] in READS:
            unit, function, start = request.unit, request.pdu[0], int.from_bytes(request.pdu[1:3], "big")
            values = read_values(outcome.answer.pdu, int.from_bytes(request.pdu[3:5], "big"))
            self.known |= {(unit, function, start + i): value for i, value in enumerate(values)}

    def outcome(self, request: Frame) -> Outcome:
        """What becomes of a request: the next recorded outcome, the last again and again.

        One that was not recorded is answered from what was read in other blocks (the reader may divide them otherwise
        today), else by exception 2; not at all by a unit that never answered anything.
        """
        found = self.outcomes.get(key(request))
        if found is None:
            return self._composed(request)
        n = self._next.get(key(request), 0)
        self._next[key(request)] = min(n + 1, len(found) - 1)
        return _for(found[n], request)

    def _composed(self, request: Frame) -> Outcome:
        if not any(unit == request.unit and any(o.answer for o in found) for (unit, _), found in self.outcomes.items()):
            return Outcome()
        function, start = request.pdu[0], int.from_bytes(request.pdu[1:3], "big")
        addresses = range(start, start + int.from_bytes(request.pdu[3:5], "big"))
        values = [self.known.get((request.unit, function, at)) for at in addresses] if function in READS else [None]
        pdu = bytes([function | 0x80, NO_SUCH_ADDRESS])
        if all(value is not None for value in values):
            pdu = read_answer(function, [value or 0 for value in values])
        return Outcome(Frame(request.unit, pdu, request.number))


def _for(outcome: Outcome, request: Frame) -> Outcome:
    """An outcome with the transaction of this request; a write is repeated as it was asked."""
    if outcome.answer is None:
        return outcome
    pdu = outcome.answer.pdu
    if pdu[0] in (*SINGLE, MASK):
        pdu = request.pdu
    return replace(outcome, answer=Frame(request.unit, pdu, request.number))


def load(path: Path) -> Recording:
    """The recording in a file, and in FILE.1 before it. ValueError names a line that is none."""
    older = path.with_name(path.name + ".1")
    lines = [line for file in (older, path) if file.exists() for line in _lines(file)]
    if not lines or "trace" not in lines[0]:
        raise ValueError(f"{path} is no bus trace, expected a first line with trace and transport")
    made = Recording(lines[0]["transport"])
    asked = list(_asked(made.transport, lines))
    if asked and not asked[-1].heard and any(key(a.request) == key(asked[-1].request) for a in asked[:-1]):
        asked.pop()  # the recording ended while this answer was waited for
    for one in asked:
        made.add(one.request, _outcome(made.transport, one))
    return made


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(file.read_text().splitlines(), 1):
        try:
            line = json.loads(text)
            yield line if "trace" in line else {**line, "bytes": bytes.fromhex(line["hex"])}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file}:{number}: no line of a bus trace") from error


def _asked(transport: str, lines: Iterable[dict[str, Any]]) -> Iterator[Asked]:
    """Every request, once what came after it is known."""
    waiting: dict[int, Asked] = {}
    for line in lines:
        if "trace" in line:  # the recording went on: its connections are others
            yield from waiting.values()
            waiting.clear()
            continue
        number, content = line["conn"], line["bytes"]
        if line["dir"] == SENT:
            if number in waiting:
                yield waiting.pop(number)
            if (request := whole(transport, content)) is not None:
                waiting[number] = Asked(request, content, line["t_ns"])
        elif number in waiting:
            _hear(waiting[number], line)
    yield from waiting.values()


def _hear(asked: Asked, line: dict[str, Any]) -> None:
    if line["dir"] == LOST:
        asked.closed = True
    elif line["dir"] == RECEIVED:
        asked.heard_ns = asked.heard_ns or line["t_ns"]
        asked.heard += line["bytes"]


def _outcome(transport: str, asked: Asked) -> Outcome:
    heard = asked.heard
    # A line that echoes; the answer to a write is the same as its request, so that twice is needed there.
    if len(heard) > len(asked.sent) and heard.startswith(asked.sent):
        heard = heard[len(asked.sent) :]
    delay_s = max(0, asked.heard_ns - asked.t_ns) * 1e-9 if heard else 0.0
    answer = whole(transport, heard)
    ours = answer is not None and (answer.unit, answer.number) == (asked.request.unit, asked.request.number)
    return Outcome(answer if ours else None, b"" if ours else heard, delay_s, asked.closed)
