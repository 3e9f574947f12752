"""Peers that the tests of one file share, and an ear for what fails beside a test."""

import gc
import logging

import pytest
from peers import libmodbus


@pytest.fixture(scope="module")
def server():
    with libmodbus() as peer:
        yield peer


@pytest.fixture
def no_traceback(caplog):
    """Nothing may fail in the event loop beside the driver: asyncio would log it."""
    with caplog.at_level(logging.ERROR):
        yield
        gc.collect()
    told = caplog.get_records("call") + caplog.get_records("teardown")
    assert not [r.getMessage() for r in told if r.name == "asyncio" or r.exc_info]
