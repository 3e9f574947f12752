"""The nouns every part of the house shares: what is read, what is published, what one cycle is given and gives.

All are values: frozen, compared by content where they hold no arrays, and sent as they are by `core.wire`.
Time is nanoseconds of the monotonic boot clock (`*_ns`) unless a name says `wall`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
I4 = npt.NDArray[np.int32]
U4 = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]

EMPTY: Mapping[str, str] = MappingProxyType({})
NO_STAMPS: I8 = np.zeros(0, np.int64)


class Mode(IntEnum):
    """What an asset is doing. Models and limits say for which modes they hold."""

    OFF = 0
    STARTING = 1
    RUNNING = 2
    IDLE = 3
    STOPPING = 4
    CLEANING = 5
    MAINTENANCE = 6
    FAULT = 7
    UNKNOWN = 8

    @property
    def word(self) -> str:
        """The mode as configuration and people write it."""
        return self.name.lower()


class Kind(StrEnum):
    """What sort of value a point carries."""

    NUMBER = "number"
    ENUMERATION = "enumeration"
    TEXT = "text"
    ARRAY = "array"


class Role(StrEnum):
    """What a point is to its asset.

    deviation, cusum: signed or not, 1 is the limit. fault: probability of a named fault. finding: what all of it says,
    in words. life: remaining life; that named `<...>.not_before` is the one to plan by. trust: a verdict about the
    model (1 is OK, above is not), its reason as a text beside it. accuracy: how good the model was lately.
    """

    MEASURED = "measured"
    EXPECTED = "expected"
    RESIDUAL = "residual"
    SPREAD = "spread"
    VIRTUAL = "virtual"
    DEVIATION = "deviation"
    SCORE = "score"
    LIMIT = "limit"
    CONTRIBUTION = "contribution"
    CUSUM = "cusum"
    FAULT = "fault"
    FINDING = "finding"
    HEALTH = "health"
    LIFE = "life"
    TRUST = "trust"
    ACCURACY = "accuracy"
    MODE = "mode"
    CONTEXT = "context"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Tag:
    """Where a value is read. `id` is `asset/group/name`; `address` and `options` are in the words of its driver.

    `phase_s`: when within its scan period it is read. `beyond`: what becomes of one outside [eu_lo, eu_hi]. `trace`: by
    how much the trace in its summaries may be off, in its unit; None for no trace.
    """

    id: str
    address: str
    type: str = "float64"
    order: str = "ABCD"
    scan_s: float = 1.0
    phase_s: float = 0.0
    scale: float = 1.0
    offset: float = 0.0
    eu_lo: float = float("nan")
    eu_hi: float = float("nan")
    beyond: str = "uncertain"
    unit: str = ""
    invalid: float | None = None
    deadband: float = 0.0
    enum: Mapping[int, str] = field(default_factory=dict)
    writable: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    trace: float | None = None

    @property
    def kind(self) -> Kind:
        """Texts and arrays (`float32[8]`) travel beside the vectors; an enumeration is a number with words."""
        if self.type.endswith("]"):
            return Kind.ARRAY
        if self.type.startswith("string"):
            return Kind.TEXT
        return Kind.ENUMERATION if self.enum else Kind.NUMBER

    @property
    def published_type(self) -> str:
        """`Point.type`: that of the device where scaling and clamping leave each value what it was."""
        if self.kind not in (Kind.NUMBER, Kind.ENUMERATION) or (self.scale, self.offset) != (1.0, 0.0):
            return ""
        if self.type == "bool" or self.type.startswith("bit") or "." in self.type:
            return "bool"
        plain = self.type.rstrip("lh").replace("bcd", "uint")  # int8l, uint8h: a byte of a register
        whole = plain.removeprefix("u").startswith("int") and self.beyond != "clamp"
        return plain if whole or plain == "float32" else ""


@dataclass(frozen=True, slots=True)
class Found:
    """A value that a device offers, as browsing found it: `path` to it, then the words of a tag list; value as text."""

    path: tuple[str, ...]
    address: str
    type: str
    value: str = ""
    unit: str = ""
    writable: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """What is published. `of` is the id of the point it belongs to (the measured value of a residual, say).

    `type`: bool, int8 .. uint64 or float32 where each value of a number is one of those, else "" (float64).
    `deadband`: a change up to this, in its unit, is not worth telling to whoever is told of changes.
    `trace`: by how much its trace may be off; None for no trace.
    """

    id: str
    role: Role
    of: str | None = None
    kind: Kind = Kind.NUMBER
    unit: str = ""
    eu_lo: float = float("nan")
    eu_hi: float = float("nan")
    enum: Mapping[int, str] = field(default_factory=dict)
    description: str = ""
    type: str = ""
    deadband: float = 0.0
    trace: float | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """What a driver counts of its device: meter `<source>/<name>`, shown as the tag `gateway/<source>/<name>`."""

    name: str
    unit: str = "1"
    description: str = ""
    enum: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """The slice of the Catalogue that belongs to one asset. `models`: SHA-256 of the file of each, by its name."""

    asset: str
    start: int
    stop: int
    title: str = ""
    asset_class: str = ""
    path: tuple[str, ...] = ()
    period_s: float = 1.0
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All points of the gateway in a fixed order, those of one asset side by side. `epoch` grows at each reload."""

    gateway: str
    epoch: int
    points: tuple[Point, ...]
    parts: tuple[Part, ...]

    def part(self, asset: str) -> Part:
        """The slice of one asset; KeyError names an asset that is not here."""
        for part in self.parts:
            if part.asset == asset:
                return part
        raise KeyError(asset)

    def of(self, asset: str) -> tuple[Point, ...]:
        """The points of one asset in order."""
        part = self.part(asset)
        return self.points[part.start : part.stop]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples as columns, all of length k. From a driver `tag` indexes the source's tag list, in a Tick the asset's.

    tag i4[k]; value f8[k] (NaN for text and array, and where there is none); status u4[k]; t_ns i8[k] (our axis);
    source_ns i8[k] (the source's own stamp, UTC, verbatim; 0 where it gives none); texts: (row, text); arrays:
    (row, f8[n]); server_ns i8[k] or i8[0]: the stamp of the server that stands between (OPC UA), as source_ns.
    """

    source: str
    tag: I4
    value: F8
    status: U4
    t_ns: I8
    source_ns: I8
    texts: tuple[tuple[int, str], ...] = ()
    arrays: tuple[tuple[int, F8], ...] = ()
    server_ns: I8 = field(default_factory=lambda: NO_STAMPS)


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked from outside: `do` is ack, shelve, unshelve, close, write ..."""

    id: str
    do: str
    target: str
    user: str
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a Request, in words a person can use."""

    id: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Command(Request):
    """A Request that the gate let through to an asset."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a model would have computed by the worker: `function` (dotted, bytes to bytes) of `body`; `do` names the
    Command that brings the answer."""

    do: str
    function: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """One value for a driver (a text, an array): index into the source's tag list."""

    id: str
    tag: int
    value: float
    text: str | None = None
    array: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """All that one cycle of one asset is given. `last` marks the final tick before a stop."""

    asset: str
    epoch: int
    seq: int
    now_ns: int
    batches: tuple[Batch, ...] = ()
    commands: tuple[Command, ...] = ()
    last: bool = False


class Names(tuple[str, ...]):
    """Tag or point names of one asset in order, with fast look-up of rows. Relative: `group/name`."""

    @cached_property
    def at(self) -> Mapping[str, int]:
        """Row of each name."""
        return {name: row for row, name in enumerate(self)}

    @cached_property
    def _found(self) -> dict[tuple[str, ...], npt.NDArray[np.intp]]:
        return {}

    def rows(self, names: tuple[str, ...]) -> npt.NDArray[np.intp]:
        """Row of each name: intp[len(names)]; KeyError lists all that are missing."""
        if names not in self._found:
            missing = [n for n in names if n not in self.at]
            if missing:
                raise KeyError(f"no tag {', '.join(missing)}")
            self._found[names] = np.array([self.at[n] for n in names], np.intp)
        return self._found[names]

    @cached_property
    def _placed(self) -> dict[tuple[str, ...], tuple[npt.NDArray[np.intp], tuple[tuple[int, str], ...]]]:
        return {}

    def places(self, names: tuple[str, ...]) -> tuple[npt.NDArray[np.intp], tuple[tuple[int, str], ...]]:
        """Row of each name, intp[len(names)], any row for one that is not here; and those that are not: (its place in
        `names`, name)."""
        if names not in self._placed:
            others = tuple((k, name) for k, name in enumerate(names) if name not in self.at)
            self._placed[names] = np.array([self.at.get(name, 0) for name in names], np.intp), others
        return self._placed[names]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The newest state of each tag, and what came since the last tick. Columns over `names` (n tags).

    value f8[n] (NaN where none); status u4[n]; age_ns i8[n] since the source confirmed it; source_ns i8[n];
    mean, min, max f8[n] and count i4[n] of the usable samples since the last tick; texts and arrays by tag row.
    """

    names: Names
    t_ns: int
    dt_ns: int
    value: F8
    status: U4
    age_ns: I8
    source_ns: I8
    mean: F8
    min: F8
    max: F8
    count: I4
    texts: Mapping[int, str]
    batches: tuple[Batch, ...]
    mode: Mode = Mode.UNKNOWN
    mode_age_ns: int = 0
    context: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[int, F8] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """What a model gives in one step, in the order of its `points`: value f8[k] (NaN for a text), status u4[k]; texts
    by row of its points."""

    value: F8
    status: U4
    texts: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """The whole state of one alarm or alert (ISA-18.2, OPC 10000-9). `point` is what it watches. `provisional`: what a
    model says that nobody has approved yet."""

    id: str
    asset: str
    point: str
    kind: str
    category: str
    priority: str = ""
    active: bool = False
    acknowledged: bool = True
    since_ns: int = 0
    value: float = float("nan")
    limit: float = float("nan")
    worst: float = float("nan")
    count: int = 0
    shelved_until_ns: int = 0
    shelve_reason: str = ""
    message: str = ""
    blamed: str = ""
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Alerts of one asset joined: one is open at a time. `cause` is a label for training once a person closes it."""

    id: str
    asset: str
    opened_ns: int
    conditions: tuple[str, ...]
    blamed: str
    closed_ns: int = 0
    cause: str = ""
    closed_by: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a condition, a case, a mode or an audit entry; it carries the state after it."""

    id: str
    asset: str
    t_ns: int
    change: str
    text: str
    user: str = ""
    condition: Condition | None = None
    case: Case | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Points of lines, those of one tag side by side in the order of time: row i4[k] of the tag, t_ns i8[k], value
    f8[k]; NaN where a line is cut. Between two of them the line is straight."""

    row: I4
    t_ns: I8
    value: F8


NO_TRACE = Trace(np.zeros(0, np.int32), NO_STAMPS, np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """One closed window of one asset. Columns over `names`: min, mean, max, last, std f8[n]; good f8[n] share of time.

    mean, std and good are weighted by time (`core.window`); `score_max` is NaN without a detector. Of
    texts and arrays the numbers are NaN; `arrays` has the last of each array by row. `figures`, `findings`: the last
    numbers and words of models about the machine and themselves (health, life, trust ...), by relative id. `trace`: of
    the tags that have one (`core.swinging`), `row` among `names`.
    """

    asset: str
    start_ns: int
    end_ns: int
    mode: Mode
    context: Mapping[str, str]
    closed_by: str
    names: tuple[str, ...]
    min: F8
    mean: F8
    max: F8
    last: F8
    std: F8
    good: F8
    score_max: float
    arrays: Mapping[int, F8] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    findings: Mapping[str, str] = field(default_factory=dict)
    trace: Trace = NO_TRACE


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of ours that failed and what was done about it."""

    component: str
    t_ns: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that one cycle gives, over the asset's part of the Catalogue (m points).

    value f8[m]; status u4[m]; time_ns i8[m] (of the sample, our axis); source_ns i8[m] (0 where none);
    texts and arrays by row; all conditions; events, closed summaries and faults of this cycle only.
    """

    asset: str
    epoch: int
    seq: int
    t_ns: int
    value: F8
    status: U4
    time_ns: I8
    source_ns: I8
    texts: Mapping[int, str]
    mode: Mode
    context: Mapping[str, str]
    conditions: tuple[Condition, ...]
    case: Case | None
    events: tuple[Event, ...]
    summaries: tuple[Summary, ...]
    faults: tuple[Fault, ...]
    last: bool = False
    arrays: Mapping[int, F8] = field(default_factory=dict)
