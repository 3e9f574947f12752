"""Tables written as they are read, in flat memory: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol

from agent.cli.telling import fail

# Rows of a Parquet file that lie together; readers skip whole groups.
GROUP_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of kind time (UTC ns), number, text, or word (a text of few different ones)."""

    name: str
    kind: str


class Writer(Protocol):
    """What takes rows, column by column: None is an empty cell."""

    rows: int

    def write(self, columns: Sequence[Sequence[Any]]) -> None:
        """Add rows."""


@contextmanager
def writer(out: Path | None, columns: Sequence[Column]) -> Iterator[Writer]:
    """A CSV, to the terminal where `out` is None; Parquet where it is named so."""
    if out is None:
        yield Csv(sys.stdout, columns)
    elif out.suffix == ".parquet":
        with _parquet(out, columns) as into:
            yield into
    elif out.suffix == ".csv":
        with out.open("w", newline="", encoding="utf-8") as file:
            yield Csv(file, columns)
    else:
        fail(f"--out {out}: expected a name that ends with .csv or .parquet", 2)


class Csv:
    """Rows of text; times are ISO 8601 to the millisecond."""

    def __init__(self, file: IO[str], columns: Sequence[Column]) -> None:
        """Write the head."""
        self.rows = 0
        self._writer = csv.writer(file, lineterminator="\n")
        self._columns = columns
        self._writer.writerow([column.name for column in columns])

    def write(self, columns: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        texts = [_cells(column.kind, cells) for column, cells in zip(self._columns, columns, strict=True)]
        self._writer.writerows(zip(*texts, strict=True))
        self.rows += len(texts[0])


def _cells(kind: str, cells: Sequence[Any]) -> Sequence[Any]:
    if kind == "time":
        return [iso(cell) for cell in cells]
    if kind == "number":
        return ["" if cell is None else f"{cell:.9g}" for cell in cells]
    return cells


def iso(wall_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 to the millisecond."""
    return f"{datetime.fromtimestamp(wall_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{wall_ns % 10**9 // 10**6:03d}Z"


@contextmanager
def _parquet(out: Path, columns: Sequence[Column]) -> Iterator[Writer]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        fail("Parquet needs pyarrow: pip install 'edgetwin[export]', or --out *.csv")
    words = pa.dictionary(pa.int32(), pa.string())
    kinds = {"time": pa.timestamp("ns", "UTC"), "number": pa.float64(), "text": pa.string(), "word": words}
    schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
    with pq.ParquetWriter(out, schema, compression="zstd") as file:
        into = Parquet(file, schema)
        yield into
        into.flush()


class Parquet:
    """Rows kept until a group is full."""

    def __init__(self, file: Any, schema: Any) -> None:
        """An open `pyarrow.parquet.ParquetWriter` and its schema."""
        self.rows = 0
        self._file, self._schema = file, schema
        self._kept: list[list[Any]] = [[] for _ in schema]

    def write(self, columns: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        for kept, cells in zip(self._kept, columns, strict=True):
            kept.extend(cells)
        self.rows += len(columns[0])
        if len(self._kept[0]) >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is kept as a group."""
        import pyarrow as pa

        if self._kept[0]:
            arrays = [pa.array(cells, field.type) for cells, field in zip(self._kept, self._schema, strict=True)]
            self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
            self._kept = [[] for _ in self._schema]
