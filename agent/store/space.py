"""How much the store may take of the disk: the cap, the log's share of it, and what the disk has."""

from __future__ import annotations

import os
from pathlib import Path

from agent.store.schema import PAGE

LEAST_CAP = 64 * PAGE

# A block, and what is committed together, are about so large at most.
BATCH_BYTES = 1 << 20


def size(path: Path) -> int:
    """Bytes of the database and its log."""
    beside = (path, path.with_name(path.name + "-wal"))
    return sum(p.stat().st_size for p in beside if p.exists())


def free(path: Path) -> int:
    """Bytes of the disk that we may still take."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize


def wal_pages(cap_bytes: int) -> int:
    """Pages in the log before it is folded into the database: 2 MiB, less where the cap is small."""
    return max(16, min(512, cap_bytes // PAGE // 16))


def limit_bytes(cap_bytes: int) -> int:
    """What of a cap the database itself may take."""
    return limit_pages(cap_bytes) * PAGE


def limit_pages(cap_bytes: int) -> int:
    """Pages the database may have: the cap less twice the log, for a commit may begin with a full one."""
    return max(LEAST_CAP, cap_bytes) // PAGE - 2 * wal_pages(cap_bytes)
