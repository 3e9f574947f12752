"""Silence on a line without transaction numbers, and which of two endpoints is read. Times in ns, in steps of 1 ms."""

import pytest

from agent.drivers.modbus.wire.backup import Choice
from agent.drivers.modbus.wire.quiet import STRAY_S, Quiet, silence_s

MS = 1_000_000


def line():
    """3.5 characters are 2 ms, an answer can come 100 ms after its timeout; units 1 and 9 have answered before."""
    made = Quiet(0.002, 0.1)
    made.answered(1, 0)
    made.answered(9, 0)
    return made


def test_three_and_a_half_characters_at_least_as_long_as_at_19200_baud():
    assert silence_s(9600, 11) == pytest.approx(4.01e-3, rel=1e-3)
    assert silence_s(19200, 11) == pytest.approx(2.005e-3, rel=1e-3)
    assert silence_s(115200, 11) == 1.75e-3


def test_after_an_answer_the_line_is_silent_for_three_and_a_half_characters():
    quiet = line()
    quiet.answered(1, 50 * MS)
    assert quiet.until_ns(1) == quiet.until_ns(2) == 52 * MS


def test_a_silent_unit_is_waited_for_but_the_others_are_asked_at_once():
    quiet = line()
    quiet.unanswered(9, 50 * MS)
    assert quiet.until_ns(9) == 150 * MS
    assert quiet.until_ns(1) == 50 * MS


def test_a_late_answer_ends_the_wait_once_the_line_is_silent():
    quiet = line()
    quiet.unanswered(9, 50 * MS)
    quiet.heard(70 * MS, 9, None)
    quiet.heard(75 * MS, 0x12, None)
    assert quiet.until_ns(9) == quiet.until_ns(1) == 75 * MS + STRAY_S * 1e9


def test_all_wait_for_a_unit_that_was_late_before_until_it_is_in_time_again():
    quiet = line()
    quiet.unanswered(9, 50 * MS)
    quiet.heard(70 * MS, 9, None)
    quiet.unanswered(9, 200 * MS)
    assert quiet.until_ns(1) == 300 * MS
    quiet.answered(9, 310 * MS)
    quiet.unanswered(9, 700 * MS)
    assert quiet.until_ns(1) == 700 * MS


def test_what_was_garbled_was_most_likely_the_answer():
    quiet = line()
    quiet.unanswered(9, 50 * MS, silent=False)
    assert quiet.until_ns(9) == 100 * MS


def test_the_first_answer_on_a_line_just_opened_may_be_followed_by_more():
    quiet = Quiet(0.002, 0.1)
    quiet.answered(5, 0)
    assert quiet.until_ns(5) == STRAY_S * 1e9
    quiet.answered(5, 100 * MS)
    assert quiet.until_ns(5) == 102 * MS


def test_an_answer_that_breaks_into_the_talk_of_another_unit_is_remembered():
    quiet = line()
    quiet.unanswered(9, 50 * MS)
    quiet.heard(60 * MS, 9, 1)
    quiet.answered(1, 65 * MS)
    assert quiet.owed_ns(9) == 0
    quiet.unanswered(9, 200 * MS)
    assert quiet.until_ns(1) == 300 * MS


def test_the_first_bytes_of_the_awaited_answer_are_nobody_elses():
    quiet = line()
    quiet.unanswered(9, 50 * MS)
    quiet.heard(60 * MS, 1, 1)
    assert quiet.owed_ns(9) == 150 * MS


S = 1_000_000_000


def test_the_only_endpoint_is_never_left():
    choice = Choice(1, 60.0)
    choice.unanswered(1, 0)
    assert (choice.at, choice.both, choice.due(10**15)) == (0, (0,), False)


def test_the_backup_is_tried_when_the_last_unit_that_answered_does_not():
    choice = Choice(2, 60.0)
    choice.answered(1)
    choice.answered(2)
    choice.unanswered(9, 0)
    choice.unanswered(1, 0)
    assert choice.at == 0
    choice.unanswered(2, 0)
    assert (choice.at, choice.both) == (1, (1, 0))
    choice.unanswered(2, 0)
    assert choice.at == 0


def test_the_main_endpoint_is_tried_again_each_so_often_and_what_works_is_kept():
    choice = Choice(2, 60.0)
    choice.use(1, 10 * S)
    assert not choice.due(69 * S)
    assert choice.due(70 * S)
    assert not choice.due(129 * S)
    assert choice.due(130 * S)
    choice.use(0, 131 * S)
    assert not choice.due(10**15)


def test_no_time_to_return_means_to_stay_until_the_backup_fails():
    choice = Choice(2, 0.0)
    choice.use(1, 0)
    assert not choice.due(10**15)
    choice.unanswered(1, 0)
    assert choice.at == 0
