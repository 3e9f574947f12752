"""The same random numbers as `random.Random` gives one by one, drawn for many plants in blocks."""

from math import pi
from random import Random

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
BLOCK = 512


class Normals:
    """Streams of standard normals: what `gauss(0, 1)` of each Random gives next, f8[streams] at a time."""

    def __init__(self, draws: list[Random]) -> None:
        self._streams = [_mersenne(draw) for draw in draws]
        self._block = np.empty((0, len(draws)))
        self._row = 0

    def take(self) -> F8:
        """The next of each stream."""
        if self._row == len(self._block):
            uniform = np.stack([s.random_sample(BLOCK) for s in self._streams], axis=1)
            self._block, self._row = _box_muller(uniform), 0
        self._row += 1
        row: F8 = self._block[self._row - 1]
        return row


def _mersenne(draw: Random) -> np.random.RandomState:
    """numpy's generator in the state of Python's: both are MT19937 with the same 53 bit uniforms."""
    state = draw.getstate()[1]
    stream = np.random.RandomState()
    stream.set_state(("MT19937", np.array(state[:-1], np.uint32), int(state[-1]), 0, 0.0))
    return stream


def _box_muller(uniform: F8) -> F8:
    """Pairs as CPython makes them: z = cos(2 pi a) sqrt(-2 log(1 - b)), then the same with the sine."""
    angle, radius = 2.0 * pi * uniform[0::2], np.sqrt(-2.0 * np.log(1.0 - uniform[1::2]))
    out = np.empty_like(uniform)
    out[0::2], out[1::2] = np.cos(angle) * radius, np.sin(angle) * radius
    return out
