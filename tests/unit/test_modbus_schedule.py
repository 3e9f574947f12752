"""Which request comes next, on a clock of our own: dead units, slow classes, repeats and trials, with no device."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import quality
from agent.core.nouns import Tag
from agent.drivers import modbus
from agent.drivers.modbus.polling import scheduled
from agent.runtime import clock, meters

MS = 1_000_000
SECOND = 1000 * MS


class Bus:
    """A schedule and the units it asks. Those in `dead` cost the timeout; `refuses`: exceptions by (unit, start)."""

    def __init__(self, monkeypatch, tags, rtt_ms=2, begin_ns=10 * SECOND, **options):
        self.now_ns, self.rtt_ns = begin_ns, rtt_ms * MS
        monkeypatch.setattr(clock, "now_ns", lambda: self.now_ns)
        self.meters = meters.install(meters.Meters())
        self.tags = tags
        self.config = modbus.Config(id="plc", type="modbus", host="h", **options)
        self.timeout_ns = int(self.config.timeout(tags) * 1e9)
        self.dead, self.refuses, self.asked, self.batches = set(), {}, [], []
        self.peace_ns = {}
        self.schedule = scheduled(
            self.config,
            tags,
            lambda batch: self.batches.append((self.now_ns, batch)),
            lambda unit: self.peace_ns.get(unit, 0),
        )

    def run(self, seconds):
        until_ns = self.now_ns + int(seconds * SECOND)
        while self.now_ns < until_ns:
            ask = self.schedule.what_next(self.now_ns)
            if isinstance(ask, int):
                assert ask >= self.now_ns
                self.now_ns = min(ask, until_ns)
                continue
            self._ask(ask)

    def _ask(self, ask):
        block = ask.request.block
        assert self.schedule._only or self.peace_ns.get(block.unit, 0) <= self.now_ns
        self.asked.append((self.now_ns, block.unit, block.start))
        if block.unit in self.dead:
            self.now_ns += self.timeout_ns
            if not self.config.numbered:
                self.peace_ns[block.unit] = self.now_ns + self.timeout_ns
            self.schedule.unanswered(ask, self.now_ns, TimeoutError("no answer"))
            return
        self.now_ns += self.rtt_ns
        code = self.refuses.get((block.unit, block.start))
        if code is not None:
            self.schedule.refused(ask, code, self.now_ns, "refused")
        else:
            self.schedule.answered(ask, [7] * block.count, self.now_ns)

    def samples(self, row, since_ns=0):
        """(put at, status) of a tag."""
        found = []
        for at_ns, batch in self.batches:
            for k in np.flatnonzero(batch.tag == row):
                if at_ns >= since_ns:
                    found.append((at_ns, int(batch.status[k])))
        return found

    def last(self, row):
        """The newest status of a tag in words."""
        return quality.name(self.samples(row)[-1][1])

    def asked_of(self, unit, since_ns=0):
        """When a unit was asked."""
        return [at_ns for at_ns, number, _ in self.asked if number == unit and at_ns >= since_ns]

    def read(self, name):
        return self.meters.read(f"plc/{name}")


def tag(unit, offset, scan_s=1.0, **more):
    return Tag(f"rig/u{unit}/{offset}", f"{unit}/holding:{offset}", "uint16", scan_s=scan_s, **more)


@pytest.fixture
def bus(monkeypatch):
    return lambda *args, **options: Bus(monkeypatch, *args, **options)


def test_every_class_is_read_at_its_period_and_phase(bus):
    here = bus([tag(1, 0, 0.5), tag(1, 1, 1.0, phase_s=0.25), tag(1, 2, 2.0, phase_s=7.5)], begin_ns=10_100 * MS)
    here.run(10)
    for row, period_ms, phase_ms, times in ((0, 500, 0, 20), (1, 1000, 250, 10), (2, 2000, 1500, 5)):
        at_ms = np.array([at_ns // MS for at_ns, _ in here.samples(row)][1:])
        assert len(at_ms) == times
        assert np.diff(at_ms).tolist() == [period_ms] * (times - 1)
        assert (at_ms[0] - here.rtt_ns // MS - phase_ms) % period_ms <= here.rtt_ns // MS * 2
    assert here.read("missed") == 0


def test_a_unit_that_falls_silent_costs_one_timeout_and_its_tags_are_bad(bus):
    tags = [tag(u, 50 * n) for u in (1, 2, 3) for n in range(5)]
    here = bus(tags)
    here.run(3)
    here.dead = {2}
    before = here.now_ns
    here.run(1)
    assert (
        len(here.asked_of(2, before)) == 2
    )  # once in its turn, once again in spare time; the other blocks are not asked
    healthy = [here.samples(row, before) for row in (0, 4, 10, 14)]
    assert all(len(samples) == 1 for samples in healthy)
    assert max(at_ns for samples in healthy for at_ns, _ in samples) - before <= here.timeout_ns + 11 * here.rtt_ns
    assert {here.last(row) for row in range(5, 10)} == {"BadNoCommunication"}
    assert {here.last(row) for row in (0, 14)} == {"Good"}


@pytest.mark.parametrize("seed", range(20))
def test_the_healthy_keep_their_period_while_a_unit_is_dead(bus, seed):
    random.seed(seed)  # of how far trials are spread
    tags = [tag(u, 50 * n) for u in range(1, 11) for n in range(3)]
    here = bus(tags)
    here.dead = {4, 9}
    here.run(3)
    settled = here.now_ns
    here.run(120)
    good = [at_ns for at_ns, _ in here.samples(0, settled)]
    assert len(good) == 120
    assert max(np.diff(good)) - SECOND <= MS
    assert here.read("missed") == 0
    trials = [at for unit in (4, 9) for at in here.asked_of(unit, settled)]
    assert 8 <= len(trials) <= 20  # 30 s apart in the end, a little less by the spread
    assert here.read("breaker") == 1
    assert (here.read("unit_4_breaker"), here.read("unit_1_breaker")) == (1, 0)
    assert here.read("unit_4_age_s") > 120 > 1.5 > here.read("unit_1_age_s")
    here.dead = set()
    here.run(31)
    assert (here.read("breaker"), here.read("unit_4_breaker"), here.last(9)) == (0, 0, "Good")


def test_all_of_a_unit_that_returns_is_read_at_once_in_every_class(bus):
    tags = [tag(1, 0), tag(2, 0), tag(2, 100), tag(2, 200, 60.0)]
    here = bus(tags, retry_unit_s=4)
    here.dead = {2}
    here.run(20)
    assert here.last(3) == "BadNoCommunication"
    here.dead, back_ns = set(), here.now_ns
    here.run(5)
    first_good = [next(at for at, s in here.samples(row, back_ns) if s == quality.GOOD) for row in (1, 2, 3)]
    assert max(first_good) - min(first_good) <= 5 * here.rtt_ns


def test_one_lost_answer_is_masked_by_a_repeat_after_the_healthy(bus):
    here = bus([tag(u, 50 * n) for u in (1, 2) for n in range(3)])
    here.run(2)
    here.dead, before = {1}, here.now_ns
    while not here.asked_of(1, before):
        here._ask(here.schedule.what_next(here.now_ns))
    here.dead = set()
    here.run(0.5)
    statuses = [s for row in range(6) for _, s in here.samples(row, before)]
    assert statuses == [quality.GOOD] * 6
    order = [unit for at_ns, unit, _ in here.asked if at_ns >= before]
    assert order == [1, 2, 2, 2, 1, 1, 1]
    assert here.read("unit_1_breaker") == 0


def test_a_repeat_that_does_not_fit_before_the_next_poll_is_not_made(bus):
    here = bus([tag(1, 0), tag(2, 0)], timeout_s=0.7)
    here.dead = {2}
    here.run(1.9)
    assert len(here.asked_of(2)) == 1
    assert here.last(1) == "BadNoCommunication"


def test_a_trial_that_never_fits_is_made_all_the_same_at_the_longest_pause(bus):
    here = bus([tag(1, 0), tag(2, 0)], timeout_s=1.5, retry_unit_s=10)
    here.dead = {2}
    here.run(100)
    assert 8 <= len(here.asked_of(2)) <= 10
    gaps_s = np.diff(here.asked_of(2)) / SECOND
    assert gaps_s.min() >= 10
    here.dead = set()
    here.run(12)
    assert here.last(1) == "Good"


def test_a_slow_class_with_many_requests_delays_a_fast_one_by_one_request(bus):
    tags = [tag(1, 0, 0.1), tag(1, 1, 0.1)] + [tag(1, 1000 + 50 * n, 10.0) for n in range(60)]
    here = bus(tags, rtt_ms=20)
    here.run(30)
    late_ms = [(at_ns // MS) % 100 for at_ns, _ in here.samples(0)][1:]
    assert len(late_ms) == 299
    assert max(late_ms) <= 40  # its own request and one of the slow class
    assert len(here.samples(2)) == 3
    assert here.read("missed") == 0


def test_a_fast_class_that_is_too_much_does_not_starve_the_slow(bus):
    tags = [tag(1, 50 * n, 0.1) for n in range(8)] + [tag(1, 5000 + 50 * n, 5.0) for n in range(10)]
    here = bus(tags, rtt_ms=20)  # 160 ms of requests each 100 ms
    here.run(60)
    assert len(here.samples(17)) >= 10
    assert here.read("missed") > 100


def test_a_dead_unit_of_a_slow_class_does_not_cost_the_fast_one_again(bus):
    here = bus([tag(1, 0, 0.2), *(tag(2, 50 * n, 2.0) for n in range(20))])
    here.dead = {2}
    here.run(2.1)
    settled = here.now_ns
    here.run(60)
    late_ms = [(at_ns // MS) % 200 for at_ns, _ in here.samples(0, settled)]
    assert len(late_ms) == 300
    assert max(late_ms) <= 2
    assert here.last(1) == "BadNoCommunication"


def test_units_that_share_an_endpoint_may_fail_more_often_if_wanted(bus):
    here = bus([tag(1, 0), tag(2, 0)], breaker_failures=3, retries=0)
    here.dead = {2}
    here.run(2.5)
    assert (len(here.asked_of(2)), here.read("unit_2_breaker")) == (3, 1)
    assert [s for _, s in here.samples(1)] == [quality.BAD_NO_COMMUNICATION] * 3


def test_when_no_unit_is_left_the_endpoint_is_dead(bus):
    here = bus([tag(1, 0), tag(2, 0)])
    here.run(2)
    here.dead = {1, 2}
    with pytest.raises(TimeoutError, match="no answer"):
        here.run(10)


def test_an_only_unit_is_repeated_at_once_and_then_dead(bus):
    here = bus([tag(1, 0), tag(1, 50)], retries=2)
    here.dead, before = {1}, here.now_ns
    with pytest.raises(TimeoutError):
        here.run(10)
    assert len(here.asked_of(1)) == 3
    assert here.now_ns - before == 3 * here.timeout_ns


def test_a_unit_that_a_gateway_calls_silent_is_left_alone_without_a_repeat(bus):
    here = bus([tag(1, 0), tag(2, 0), tag(2, 50)])
    here.refuses = {(2, 0): 11}
    here.run(1.5)
    assert (len(here.asked_of(2)), here.last(1), here.last(2)) == (2, "BadNoCommunication", "BadNoCommunication")
    assert here.last(0) == "Good"


def test_a_refused_group_stays_whole_and_what_is_beside_it_is_read(bus):
    together = {"options": {"atomic": "pos"}}
    here = bus([tag(1, 0, **together), tag(1, 1, **together), tag(1, 5)])
    here.refuses = {(1, 0): 2}
    here.run(3)
    assert [here.last(row) for row in range(3)] == ["BadConfigurationError", "BadConfigurationError", "Good"]
    assert [start for _, _, start in here.asked] == [0, 0, 5, 5, 5]  # refused whole, then alone; not asked again
    here.refuses = {}
    here.run(62)
    assert {here.last(row) for row in range(3)} == {"Good"}
    assert [start for _, _, start in here.asked][-1] == 0
    assert here.schedule.classes[0].plan[0].block.count == 6  # planned anew


def test_on_a_serial_line_a_silent_unit_is_left_in_peace_while_the_others_are_read(bus):
    tags = [tag(u, 50 * n) for u in (1, 2, 3) for n in range(3)]
    here = bus(tags, transport="rtu-over-tcp")
    here.run(2)
    here.dead, before = {1}, here.now_ns
    here.run(0.99)
    units = [unit for at_ns, unit, _ in here.asked if at_ns >= before]
    assert units == [1, 2, 2, 2, 3, 3, 3, 1]
    first, again = here.asked_of(1, before)
    assert again - first == 2 * here.timeout_ns  # its late answer could still have come
    assert here.last(0) == "BadNoCommunication"
    here.run(60)
    at_ms = [at_ns // MS % 1000 for at_ns, _ in here.samples(3)]
    assert max(at_ms[3:]) <= 20
    here.dead = set()
    here.run(31)
    assert {here.last(row) for row in range(9)} == {"Good"}


def test_what_is_put_off_for_peace_is_read_when_it_is_over(bus):
    here = bus([tag(u, 50 * n) for u in (1, 2) for n in range(2)])
    here.run(1.5)
    here.peace_ns = {1: 12_300 * MS}
    here.run(1)
    (late, _), (other, _) = here.samples(0)[-1], here.samples(2)[-1]
    assert (late // MS, other // MS) == (12_304, 12_004)
    here.peace_ns = {1: 13_999 * MS}
    here.run(2)
    assert here.samples(1)[-1][0] // MS <= 14_010  # the next poll was due meanwhile and has it
    assert {here.last(row) for row in range(4)} == {"Good"}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    dead=st.sets(st.integers(1, 6), max_size=5),
    blocks=st.integers(1, 6),
    slow=st.integers(0, 20),
    rtt_ms=st.integers(1, 10),
    retries=st.integers(0, 2),
    transport=st.sampled_from(["tcp", "rtu-over-tcp"]),
)
def test_whichever_units_die_the_healthy_are_read_in_every_period(dead, blocks, slow, rtt_ms, retries, transport):
    tags = [tag(u, 50 * n) for u in range(1, 7) for n in range(blocks)]
    tags += [tag(u, 9000 + 50 * n, 7.0) for u in (1, 6) for n in range(slow)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        here = Bus(monkeypatch, tags, rtt_ms=rtt_ms, retries=retries, retry_unit_s=10, transport=transport)
        here.run(2)
        here.dead = dead
        here.run(1 + 0.5 * len(dead))  # each death costs one timeout, once
        here.run(1.9 - here.now_ns % SECOND / SECOND)
        settled, missed = here.now_ns, here.read("missed")
        here.run(20)
        for unit in set(range(1, 7)) - dead:
            samples = here.samples((unit - 1) * blocks, settled)
            assert [s for _, s in samples] == [quality.GOOD] * 20
        assert here.read("missed") == missed
        for unit in dead:
            assert quality.is_bad(here.samples((unit - 1) * blocks)[-1][1])
        here.dead = set()
        here.run(11)
        assert {here.last(row) for row in range(len(tags))} == {"Good"}
