"""The due times of a periodic loop: at a phase within whole periods of the boot clock, so that nothing drifts."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Due:
    """The next due time `ns` of a loop; those that follow are k · period + phase."""

    period_ns: int
    phase_ns: int
    ns: int

    @classmethod
    def of(cls, period_s: float, phase_s: float, now_ns: int) -> Due:
        """A loop whose first due time is now; a phase is taken within its period."""
        period_ns = max(1, round(period_s * 1e9))
        return cls(period_ns, round(phase_s * 1e9) % period_ns, now_ns)

    def after(self, now_ns: int) -> tuple[Due, int]:
        """The due time that follows, not before now, and how many were missed and are left out."""
        periods = (self.ns - self.phase_ns) // self.period_ns
        next_ns = (periods + 1) * self.period_ns + self.phase_ns
        missed = max(0, -((next_ns - now_ns) // self.period_ns))
        return replace(self, ns=next_ns + missed * self.period_ns), missed
