"""bdSeq, the number of a connection, outlasts a restart in a small file beside the journal.

It grows by one with each CONNECT and stands in the will, so it is on the disk before we connect. The file is replaced
whole: after a power cut there is the old one or the new one. Without a disk the count goes on in memory.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

NUMBERS = 256  # tck-id-message-flow-edge-node-birth-publish-will-message-payload-bdSeq
NONE = -1


def path(journal: Path, sink: str) -> Path:
    """Where it is kept."""
    return journal.with_name(f"{journal.name}.{sink}.bdseq")


def read(file: Path) -> int:
    """The number of the last CONNECT; NONE where there is no file, or none that makes sense."""
    try:
        number = int(file.read_text())
    except FileNotFoundError:
        return NONE
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read, bdSeq begins at 0: %s", file, error)
        return NONE
    return number % NUMBERS


def write(file: Path, number: int) -> None:
    """Keep it, power cut or not. OSError: it is not kept."""
    new = file.with_name(f"{file.name}.new")
    with new.open("w") as out:
        out.write(f"{number}\n")
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def following(number: int) -> int:
    """For the next CONNECT."""
    return (number + 1) % NUMBERS
