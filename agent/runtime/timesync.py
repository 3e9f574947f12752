"""Whether the kernel holds the wall clock to be synchronised (adjtimex(2)): NTP, PTP or a radio clock steers it."""

from __future__ import annotations

import ctypes
from functools import cache

SYNCHRONISED, UNSYNCHRONISED = "synchronised", "unsynchronised"

TIME_ERROR = 5
STRUCT_TIMEX_BYTES = 256  # 208 on 64-bit Linux; modes = 0 only reads


def quality() -> str:
    """synchronised or unsynchronised; where the kernel will not say, unsynchronised."""
    state = _libc().adjtimex(ctypes.create_string_buffer(STRUCT_TIMEX_BYTES))
    return SYNCHRONISED if 0 <= state < TIME_ERROR else UNSYNCHRONISED


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
