"""The tables, in a schema of their own, made and brought up to date by whoever connects first.

Records (event, summary, raw) keep the message as it came (`body`) beside the columns that one asks by. `tag_summary` is
for charts: a row a tag and window, at the window's end. With the extension TimescaleDB it becomes a hypertable. The
views take apart what is asked for less often: swinging-door traces, raw history (narrow it by `block`), models.
"""

from __future__ import annotations

import logging

import psycopg

from agent.ingest.database import Connection

log = logging.getLogger(__name__)

VERSION = 1

# Two receivers that start together must not both make the tables.
LOCK = 0x45445457

RECORD = """gateway text NOT NULL, epoch integer NOT NULL, seq bigint NOT NULL, time timestamptz, asset text NOT NULL,
    kind text NOT NULL, clock text NOT NULL, quality smallint NOT NULL, size integer NOT NULL,
    hash text COLLATE "C" NOT NULL, body json NOT NULL, received timestamptz NOT NULL DEFAULT now()"""


def wall(start_ns: str, offset_ns: str) -> str:
    """The time of a start (SQL, UTC ns) and an offset to the microsecond."""
    return f"timestamptz 'epoch' + (({start_ns})::bigint + ({offset_ns})::bigint) / 1000 * interval '1 microsecond'"


FIRST = f"""
CREATE TABLE edgetwin.version (version integer NOT NULL);
CREATE TABLE edgetwin.event ({RECORD}, change text, text text, by_user text, condition text, category text,
    priority text, active boolean, PRIMARY KEY (gateway, epoch, seq));
CREATE INDEX event_time ON edgetwin.event (time);
CREATE TABLE edgetwin.summary ({RECORD}, start timestamptz, mode text, closed_by text, score_max double precision,
    names text NOT NULL, pending boolean NOT NULL, PRIMARY KEY (gateway, epoch, seq));
CREATE INDEX summary_time ON edgetwin.summary (time);
CREATE INDEX summary_pending ON edgetwin.summary (names) WHERE pending;
CREATE TABLE edgetwin.raw ({RECORD}, PRIMARY KEY (gateway, epoch, seq));
CREATE TABLE edgetwin.tag_summary (time timestamptz NOT NULL, gateway text NOT NULL, asset text NOT NULL,
    tag text NOT NULL, min double precision, mean double precision, max double precision, last double precision,
    std double precision, good double precision, epoch integer NOT NULL, seq bigint NOT NULL,
    PRIMARY KEY (gateway, asset, tag, time, epoch, seq));
CREATE INDEX tag_summary_time ON edgetwin.tag_summary (time);
CREATE TABLE edgetwin.names (key text PRIMARY KEY, tags text[] NOT NULL);
CREATE TABLE edgetwin.gateway (prefix text PRIMARY KEY, gateway text, online boolean, online_since timestamptz,
    birth json, born timestamptz);
CREATE TABLE edgetwin.point (gateway text NOT NULL, id text NOT NULL, place integer NOT NULL, role text, kind text,
    of text, unit text, low double precision, high double precision, words json, description text,
    PRIMARY KEY (gateway, id));
CREATE TABLE edgetwin.stream (gateway text NOT NULL, class text NOT NULL, epoch integer NOT NULL, last bigint NOT NULL,
    PRIMARY KEY (gateway, class, epoch));
CREATE TABLE edgetwin.gap (gateway text NOT NULL, class text NOT NULL, epoch integer NOT NULL, first bigint NOT NULL,
    last bigint NOT NULL, noticed timestamptz NOT NULL DEFAULT now(), gone timestamptz,
    PRIMARY KEY (gateway, class, epoch, first));
CREATE TABLE edgetwin.rejected (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL,
    reason text NOT NULL, digest text NOT NULL, payload bytea NOT NULL, record boolean NOT NULL,
    times integer NOT NULL DEFAULT 1,
    received timestamptz NOT NULL DEFAULT now(), again timestamptz, UNIQUE (topic, digest));

CREATE VIEW edgetwin.model_summary AS
    SELECT s.time, s.gateway, s.asset, m.key AS point,
        CASE WHEN json_typeof(m.value) = 'number' THEN (m.value #>> '{{}}')::double precision END AS value,
        CASE WHEN json_typeof(m.value) = 'string' THEN m.value #>> '{{}}' END AS word, s.epoch, s.seq
    FROM edgetwin.summary s, json_each(s.body -> 'models') m;
CREATE VIEW edgetwin.trace AS
    SELECT {wall("s.body ->> 'start_ns'", "p.value ->> 0")} AS time, s.gateway, s.asset, t.key AS tag,
        (p.value ->> 1)::double precision AS value, s.time AS summary
    FROM edgetwin.summary s, json_each(s.body -> 'trace') t, json_array_elements(t.value) p;
CREATE VIEW edgetwin.sample AS
    SELECT {wall("r.body ->> 'start_ns'", "at.t_ns")} AS time, r.gateway, r.asset, t.key AS tag,
        CASE WHEN json_typeof(v.value) = 'number' THEN (v.value #>> '{{}}')::double precision END AS value,
        CASE WHEN json_typeof(v.value) <> 'number' THEN v.value #>> '{{}}' END AS word,
        coalesce(q.status::bigint, 0) AS status, r.time AS block
    FROM edgetwin.raw r, json_each(r.body -> 'tags') t,
        json_array_elements_text(t.value -> 't_ns') WITH ORDINALITY at (t_ns, n)
        JOIN json_array_elements(t.value -> 'value') WITH ORDINALITY v (value, n) USING (n)
        LEFT JOIN json_array_elements_text(t.value -> 'status') WITH ORDINALITY q (status, n) USING (n);
CREATE VIEW edgetwin.condition_now AS
    SELECT DISTINCT ON (gateway, asset, condition) gateway, asset, condition, time, active, change, category, priority,
        text, body -> 'condition' ->> 'acknowledged' = 'true' AS acknowledged
    FROM edgetwin.event WHERE condition IS NOT NULL ORDER BY gateway, asset, condition, epoch DESC, seq DESC;
"""

# From version k to k+1, at index k-1.
MIGRATIONS: tuple[str, ...] = ()


class SchemaError(OSError):
    """The tables are of a version that this edgetwin does not know."""


async def prepare(db: Connection) -> None:
    """Make the tables, or bring them up to date. SchemaError: they are newer than we are."""
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        version = await _version(db)
        if version > VERSION:
            raise SchemaError(f"the tables are of version {version}, this edgetwin knows up to {VERSION}: upgrade it")
        if version == VERSION:
            return
        log.info("making the tables of version %d in the schema edgetwin", VERSION)
        for step in (FIRST, *MIGRATIONS)[version:]:
            await db.execute(step.encode())
        await db.execute("DELETE FROM edgetwin.version")
        await db.execute("INSERT INTO edgetwin.version VALUES (%s)", (VERSION,))
        if version == 0:
            await _hypertable(db)


async def _version(db: Connection) -> int:
    """Of the tables that are there; 0 for none."""
    await db.execute("CREATE SCHEMA IF NOT EXISTS edgetwin")
    found = await db.execute("SELECT to_regclass('edgetwin.version') IS NOT NULL")
    if not (await found.fetchone() or (False,))[0]:
        return 0
    row = await (await db.execute("SELECT version FROM edgetwin.version")).fetchone()
    return int(row[0]) if row else 0


async def _hypertable(db: Connection) -> None:
    """With TimescaleDB the rows for charts lie in chunks by time; without its consent they are a plain table."""
    found = await db.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")
    if await found.fetchone() is None:
        return
    try:
        async with db.transaction():
            await db.execute("SELECT create_hypertable('edgetwin.tag_summary', 'time', if_not_exists => true)")
    except psycopg.Error as error:
        log.warning("tag_summary stays a plain table, TimescaleDB would not have it: %s", error)
