"""What a filter is given, what it holds and what it says: values, all of which `core.wire` can send."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.nouns import F8, I8


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """x f8[n] and a root f8[n,n] of its covariance, P = root root', in the kind's own units."""

    x: F8
    root: F8

    @property
    def P(self) -> F8:  # noqa: N802
        """The covariance f8[n,n]."""
        return self.root @ self.root.T


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What was measured at a moment, in the channels' units.

    u f8[m]: NaN keeps the input that was there; y f8[p]: NaN is absent; weight f8[p]: factor on R (1 Good, 25
    Uncertain).
    """

    t_ns: int
    u: F8
    y: F8
    weight: F8


@dataclass(frozen=True, slots=True, eq=False)
class Innovation:
    """What a sample said beyond what was expected of it, before it corrected anything; in the channels' units.

    nu f8[p]: measured less expected, NaN where absent; sd f8[p]: its standard deviation, noise of the sensor included;
    rejected i8[p]: 1 where it was too wild to be used; expected f8[p+v], spread f8[p+v]: every output, and the standard
    deviation of the estimate alone.
    """

    nu: F8
    sd: F8
    rejected: I8
    expected: F8
    spread: F8


@dataclass(frozen=True, slots=True)
class Trim:
    """How a filter is run. reference: factor on Q, small for one that trusts the model. frozen: health states stand
    still at what the belief holds. bounded: no innovation is refused, none counts more than one of BOUND standard
    deviations (Huber). floor: a health state stands still where a sample tells less than this share of its variance."""

    reference: float = 1.0
    frozen: bool = False
    bounded: bool = False
    floor: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A belief at its time. u f8[m]: inputs since then; rejected i8[p]: how many innovations in a row were too wild;
    settled: 1 where root is the steady one of the sensors that were there."""

    t_ns: int
    belief: Belief
    u: F8
    rejected: I8
    settled: int


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """A sample that was taken, the moment before it, and how it was taken."""

    sample: Sample
    before: Moment
    trim: Trim


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """The state of a filter. past: the last `window` samples, oldest first; dropped: how many came too late for it."""

    now: Moment
    past: tuple[Past, ...]
    window: int
    dropped: int

    @property
    def belief(self) -> Belief:
        """What is believed now."""
        return self.now.belief

    @property
    def t_ns(self) -> int:
        """The time of the belief."""
        return self.now.t_ns

    @property
    def u(self) -> F8:
        """The inputs f8[m] that hold since then."""
        return self.now.u

    @property
    def rejected(self) -> I8:
        """How many innovations in a row each sensor had refused: i8[p]."""
        return self.now.rejected
