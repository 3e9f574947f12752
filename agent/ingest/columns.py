"""Which member of a message stands in which column, and the statements that are made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.ingest import rows
from agent.ingest.message import QUALITY, Record

EPOCH_TIME = datetime(1970, 1, 1, tzinfo=UTC)
KEY = ("gateway", "epoch", "seq")
COPY_ROWS = (
    "COPY edgetwin.tag_summary (time, gateway, asset, tag, min, mean, max, last, std, good, epoch, seq)"
    " FROM STDIN (FORMAT BINARY)"
)
ROW_TYPES = ("timestamptz", "text", "text", "text", *["float8"] * 6, "int4", "int8")

Value = Callable[[Record], Any]


def clean(text: str) -> str:
    """A text as PostgreSQL can hold it: no NUL, no half of a surrogate pair. The body has it as it was."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def time_of(tree: Mapping[str, Any], name: str) -> datetime | None:
    """The time of a member `<name>_ns` to the microsecond; None where it is not known, or beyond the year 9999."""
    wall_ns = tree.get(f"{name}_ns")
    if not isinstance(wall_ns, int) or isinstance(wall_ns, bool):
        return None
    try:
        return EPOCH_TIME + timedelta(microseconds=wall_ns // 1000)
    except OverflowError:
        return None


def text_of(*path: str) -> Value:
    """The text at a path of the message, None where there is none."""

    def value(record: Record) -> str | None:
        found = _at(record, path)
        return clean(found) if isinstance(found, str) else None

    return value


def _flag(*path: str) -> Value:
    def value(record: Record) -> bool | None:
        found = _at(record, path)
        return found if isinstance(found, bool) else None

    return value


def _at(record: Record, path: Sequence[str]) -> Any:
    found: Any = record.tree
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _time(*names: str) -> Value:
    return lambda record: next((t for n in names if (t := time_of(record.tree, n)) is not None), None)


COMMON: dict[str, tuple[str, Value]] = {
    "gateway": ("text", lambda r: r.name.gateway),
    "epoch": ("integer", lambda r: r.name.epoch),
    "seq": ("bigint", lambda r: r.name.seq),
    "time": ("timestamptz", _time("time", "end", "start")),
    "asset": ("text", lambda r: clean(r.asset)),
    "kind": ("text", lambda r: clean(r.kind)),
    "clock": ("text", lambda r: r.clock),
    "quality": ("smallint", lambda r: QUALITY[r.clock]),
    "size": ("integer", lambda r: len(r.body)),
    "hash": ("text", lambda r: r.hash),
    "body": ("json", lambda r: r.body),
}


@dataclass(frozen=True, slots=True)
class Table:
    """A class of records: its columns with their types, and how each is got from a message."""

    name: str
    columns: Mapping[str, tuple[str, Value]]

    def values(self, records: Sequence[Record]) -> dict[str, list[Any]]:
        """A list a column over all records."""
        return {name: [value(record) for record in records] for name, (_, value) in self.columns.items()}

    @property
    def known(self) -> bytes:
        """Which of these records are there, and their time."""
        arrays = ", ".join(f"%({name})s::{self.columns[name][0]}[]" for name in KEY)
        return (
            f"SELECT gateway, epoch, seq, time FROM edgetwin.{self.name}"
            f" WHERE (gateway, epoch, seq) IN (SELECT * FROM unnest({arrays}))"
        ).encode()

    @property
    def upsert(self) -> bytes:
        """Insert those that are not there, replace those that are and not as good (`Record.worth`); gives both.

        Bodies go as binary (%b): as text the library would escape each quotation mark in them.
        """
        columns = ", ".join(self.columns)
        arrays = ", ".join(f"%({n}){'b::text' if t == 'json' else 's::' + t}[]" for n, (t, _) in self.columns.items())
        chosen = ", ".join(f"{n}::json" if t == "json" else n for n, (t, _) in self.columns.items())
        others = ", ".join(f"{name} = excluded.{name}" for name in self.columns if name not in KEY)
        return (
            f"INSERT INTO edgetwin.{self.name} AS old ({columns})"
            f" SELECT {chosen} FROM unnest({arrays}) AS n ({columns})"
            f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {others}"
            " WHERE (excluded.quality, excluded.size, excluded.hash) > (old.quality, old.size, old.hash)"
            " RETURNING gateway, epoch, seq"
        ).encode()


EVENT = Table(
    "event",
    COMMON
    | {
        "change": ("text", text_of("change")),
        "text": ("text", text_of("text")),
        "by_user": ("text", text_of("user")),
        "condition": ("text", text_of("condition", "id")),
        "category": ("text", text_of("condition", "category")),
        "priority": ("text", text_of("condition", "priority")),
        "active": ("boolean", _flag("condition", "active")),
    },
)
SUMMARY = Table(
    "summary",
    COMMON
    | {
        "time": ("timestamptz", _time("end")),
        "start": ("timestamptz", _time("start")),
        "mode": ("text", text_of("mode")),
        "closed_by": ("text", text_of("closed_by")),
        "score_max": ("double precision", lambda r: rows.number(r.tree.get("score_max"))),
        "names": ("text", lambda r: rows.key_of(r.tree)),
        "pending": ("boolean", lambda r: bool(rows.key_of(r.tree))),
    },
)
RAW = Table("raw", COMMON)
TABLES = (EVENT, SUMMARY, RAW)
