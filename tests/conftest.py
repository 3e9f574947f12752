"""What every test gets: asyncio under anyio, and a failure for a task left running."""

import asyncio
import os
import tempfile

import pytest
from hypothesis import settings

# Where a run decides whether something lands, the same examples are tried each time; elsewhere new ones.
# Models that a test fits are signed with a key of its own, not with that of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="edgetwin-tests-")

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def fail_on_tasks_left_running(request):
    """A test that leaves a task behind fails: structured concurrency is the house's rule."""
    yield
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    left = [t for t in asyncio.all_tasks(loop) if not t.done() and t is not asyncio.current_task()]
    assert not left, f"tasks left running: {left}"
