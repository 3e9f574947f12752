"""`edgetwin config options` tells what the models themselves hold, each option with its meaning."""

import pytest

from agent.config import options


def test_a_topic_is_known_by_its_last_part_where_that_is_enough():
    assert options.named("modbus") == "sources.modbus"
    assert options.named("sinks.opcua") == "sinks.opcua"
    assert options.named("opcua") is None
    assert options.named("modbsu") is None


@pytest.mark.parametrize("topic", options.topics())
def test_every_option_says_what_it_means(topic):
    found = options.of(topic)
    assert found
    assert [option.name for option in found if not option.text or not option.values] == []


def test_an_option_tells_its_values_and_what_stands_there_if_it_is_left_out():
    by_name = {option.name: option for option in options.of("tags")}
    assert by_name["beyond"].values == "uncertain | clamp | bad"
    assert by_name["beyond"].default == "uncertain"
    assert by_name["group"].default == ""
    assert by_name["scan"].default == "-"
    assert {o.name: o for o in options.of("class")}["stale_periods"].default == "3"
