"""What comes beside the records: gateways with their points, names of columns, and messages that are none of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.ingest.columns import clean
from agent.ingest.database import Connection, arrays
from agent.ingest.message import Birth, Name, Names
from agent.ingest.rows import number

LARGEST_KEPT = 1 << 20
LONGEST_TOPIC = 500  # characters: an index must hold it
MOST_REJECTED = 10_000


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that is kept as it came, with the reason. `name`: the record that it is, if that is beyond doubt."""

    topic: str
    payload: bytes
    reason: str
    name: Name | None = None

    @property
    def stands(self) -> bool:
        """Whether it stands for a record: it is known which, and all of it is kept. To send it again would not help."""
        return self.name is not None and len(self.payload) <= LARGEST_KEPT


async def put_status(db: Connection, prefix: str, online: bool) -> None:
    """Whether a gateway is connected to the broker, and since when we know."""
    await db.execute(
        "INSERT INTO edgetwin.gateway AS g (prefix, online, online_since) VALUES (%s, %s, now())"
        " ON CONFLICT (prefix) DO UPDATE SET online = excluded.online, online_since = excluded.online_since"
        " WHERE g.online IS DISTINCT FROM excluded.online",
        (prefix, online),
    )


async def put_birth(db: Connection, prefix: str, birth: Birth) -> None:
    """What a gateway is; its points are replaced if it says another thing than before."""
    changed = await db.execute(
        "INSERT INTO edgetwin.gateway AS g (prefix, gateway, birth, born) VALUES (%s, %s, %s, now())"
        " ON CONFLICT (prefix) DO UPDATE SET gateway = excluded.gateway, birth = excluded.birth, born = excluded.born"
        " WHERE g.birth::text IS DISTINCT FROM excluded.birth::text RETURNING prefix",
        (prefix, birth.gateway, birth.body),
    )
    if await changed.fetchone() is None:
        return
    await db.execute("DELETE FROM edgetwin.point WHERE gateway = %s", (birth.gateway,))
    async with db.cursor() as cursor, cursor.copy(COPY_POINTS) as copy:
        for row in _points(birth):
            await copy.write_row(row)


COPY_POINTS = "COPY edgetwin.point (gateway, id, place, role, kind, of, unit, low, high, words, description) FROM STDIN"


def _points(birth: Birth) -> Iterator[tuple[Any, ...]]:
    """A row a point; what has no id, or that of another one, is none."""
    points, ids = birth.tree.get("points"), set[str]()
    for place, point in enumerate(points if isinstance(points, list) else ()):
        point = point if isinstance(point, Mapping) else {}
        texts = {n: clean(v) for n, v in point.items() if isinstance(v, str)}
        words = json.dumps(point["words"]) if isinstance(point.get("words"), Mapping) else None
        if texts.get("id", "") in ("", *ids):
            continue
        ids.add(texts["id"])
        said = (texts.get(n) for n in ("role", "kind", "of", "unit"))
        low, high = number(point.get("low")), number(point.get("high"))
        yield birth.gateway, texts["id"], place, *said, low, high, words, texts.get("description")


async def put_names(db: Connection, names: Iterable[Names]) -> None:
    """Which tags a key names. The same key never names others."""
    for one in sorted(names, key=lambda n: n.key):
        tags = [clean(tag) for tag in one.tags]
        await db.execute("INSERT INTO edgetwin.names VALUES (%s, %s) ON CONFLICT DO NOTHING", (one.key, tags))


async def put_rejected(db: Connection, rejected: Sequence[Rejected]) -> None:
    """Keep what could not be read. What comes again is counted; the oldest make room, but for records."""
    rows = {(clean(r.topic)[:LONGEST_TOPIC], hashlib.sha256(r.payload).hexdigest()): r for r in rejected}
    if not rows:
        return
    await db.execute(
        "INSERT INTO edgetwin.rejected AS r (topic, digest, reason, payload, record)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::boolean[])"
        " ON CONFLICT (topic, digest) DO UPDATE SET times = r.times + 1, again = now(), reason = excluded.reason",
        arrays((*key, clean(r.reason), r.payload[:LARGEST_KEPT], r.stands) for key, r in sorted(rows.items())),
    )
    await db.execute(
        "DELETE FROM edgetwin.rejected WHERE NOT record AND id <= (SELECT max(id) FROM edgetwin.rejected) - %s",
        (MOST_REJECTED,),
    )
