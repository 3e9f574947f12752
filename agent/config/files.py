"""Files that a configuration names: their text or bytes, or the problem that says why not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.config.problems import Mark, Problem, problem

LARGEST_TEXT = 16_000_000
LARGEST_MODEL = 64_000_000


def shown_path(base: str, path: Path) -> str:
    """A file that lies beside the configuration `base`, as its problems name it."""
    return str(path if path.is_absolute() else Path(base).parent / path)


def text(path: str | Path, asked: Mark, out: list[Problem]) -> str | None:
    """The text of a UTF-8 file (a byte order mark is dropped); None with a problem where there is none to be had."""
    content = octets(path, asked, out, LARGEST_TEXT)
    if content is None:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        col = error.start - content.rfind(b"\n", 0, error.start)
        found = f"byte 0x{content[error.start]:02x} is not UTF-8, expected the file saved as UTF-8"
        out.append(problem(Mark(str(path), line, col), found))
        return None


def octets(path: str | Path, asked: Mark, out: list[Problem], largest: int = LARGEST_MODEL) -> bytes | None:
    """The bytes of a file; None with a problem at `asked` where it cannot be read or is too large."""
    try:
        # A pipe or a device may have no end, or never give a byte.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                out.append(problem(asked, f"{path} cannot be read: a pipe or a device, expected a file"))
                return None
            content = file.read(largest + 1) if about.st_size <= largest else b""
        if max(about.st_size, len(content)) > largest:
            size = max(about.st_size, len(content))
            out.append(problem(asked, f"{path} has {size} bytes, expected at most {largest}"))
            return None
        return content
    except FileNotFoundError:
        where = "no such file" if str(path) == asked.file else f"no file {path}, expected it there"
        out.append(problem(asked, where))
    except (OSError, ValueError) as error:
        out.append(problem(asked, f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"))
    return None
