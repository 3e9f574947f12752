"""Whether a version does as well as what ran before it: names of what is known and of what is well, compared.

`asset rig` cycles; `model rig/detector` is loaded and has not failed; `unit plc1` met no bug; `source plc1` answers;
`cloud`: a broker does. Assets, models and units must be well unless they were not before; a source and the cloud must
be well if they were before: a PLC that was off is nobody's fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CLOUD = "cloud"
OUTSIDE = ("source ", CLOUD)


@dataclass(frozen=True, slots=True)
class Vitals:
    """What there is, and what of it is well."""

    known: frozenset[str]
    well: frozenset[str]

    @property
    def ill(self) -> frozenset[str]:
        """What is not well."""
        return self.known - self.well


def worse(well: Iterable[str], ill: Iterable[str], now: Vitals) -> list[str]:
    """What is not as it should be, held against what was well and ill before. A version that cuts the cloud off is
    worse even if it knows of none."""
    was_well, was_ill = frozenset(well), frozenset(ill)
    asked = {name for name in now.known if not name.startswith(OUTSIDE)} - was_ill
    asked |= {name for name in was_well if name.startswith(OUTSIDE) and (name in now.known or name == CLOUD)}
    return sorted(asked - now.well)
