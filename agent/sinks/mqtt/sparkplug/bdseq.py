"""What outlasts a restart, in a small file beside the journal: bdSeq, and since when snapshots mean what they do now.

bdSeq grows by one with each CONNECT and ends up in the will, so it is on the disk before we connect. The file is
replaced whole: after a power cut there is the old one or the new one. Without a disk the count goes on in memory.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

log = logging.getLogger(__name__)

NUMBERS = 256  # tck-id-message-flow-edge-node-birth-publish-will-message-payload-bdSeq


@dataclass(frozen=True, slots=True)
class Kept:
    """`bdseq` of the last CONNECT (-1: none yet). Raw history before (boot, t_ns) has another `layout`; boot "": none
    has."""

    bdseq: int = -1
    layout: str = ""
    boot: str = ""
    t_ns: int = 0


def path(journal: Path, sink: str) -> Path:
    """Where it is kept."""
    return journal.with_name(f"{journal.name}.{sink}.sparkplug")


def read(file: Path) -> Kept:
    """What was kept; the beginning where there is no file, or none that makes sense."""
    try:
        said = json.loads(file.read_text())
        kept = Kept(int(said["bdseq"]) % NUMBERS, str(said["layout"]), str(said["boot"]), int(said["t_ns"]))
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read, bdSeq begins at 0: %s", file, error)
        return Kept()
    return kept


def write(file: Path, kept: Kept) -> None:
    """Keep it, power cut or not. OSError: it is not kept."""
    new = file.with_name(f"{file.name}.new")
    with new.open("w") as out:
        out.write(json.dumps(asdict(kept)))
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def connecting(kept: Kept) -> Kept:
    """For the next CONNECT."""
    return replace(kept, bdseq=(kept.bdseq + 1) % NUMBERS)


def seeing(kept: Kept, layout: str, boot: str, now_ns: int) -> Kept:
    """With the layout of this catalogue; where it is another, snapshots before now cannot be told any more."""
    return kept if layout == kept.layout else replace(kept, layout=layout, boot=boot, t_ns=now_ns)


def passed(kept: Kept) -> Kept:
    """All raw history that is left has the layout of now."""
    return replace(kept, boot="", t_ns=0)
