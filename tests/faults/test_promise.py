"""Faults 1, 2 and 19 of all parts together: what the journal holds stands in the database, each record once.

Daemon, receiver, broker and database are killed (-9), each at least once; `tests/bench/store/promise.py --kills 200`
does it for longer.
"""

import pytest
from promise_rig import promised, world

pytestmark = pytest.mark.anyio


async def test_whatever_is_killed_nothing_is_missing_and_nothing_double(tmp_path):
    async with world(tmp_path, "end_to_end", layout="columns") as whole:
        outcome = await promised(whole, kills=6, seed=3, longest_s=0.5, patience_s=60)
    print(outcome)
    assert outcome.faults == []
    assert min(outcome.kills[part] for part in ("daemon", "ingest", "broker", "database")) >= 1
    assert min(outcome.records.values()) >= 4
    assert outcome.codes == (0, 0)
