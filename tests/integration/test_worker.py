"""The worker process: what it computes comes back, and whatever becomes of it is an answer."""

import os
import signal

import anyio
import psutil
import pytest

from agent.runtime.worker import Worker

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def beside(monkeypatch, tmp_path):
    """A module of the package that is only there for this test: what can go wrong in a function."""
    trick = tmp_path / "tricks.py"
    trick.write_text(
        "import os, signal, sys, time\n"
        "def echo(body): print('noise on stdout'); return body[::-1]\n"
        "def pid(body): return str(os.getpid()).encode()\n"
        "def wrong(body): raise ValueError('the devil s level')\n"
        "def bug(body): raise KeyboardInterrupt\n"
        "def hang(body):\n    while True: time.sleep(1)\n"
        "def die(body): os.kill(os.getpid(), signal.SIGSEGV)\n"
        "def leave(body): sys.exit(3)\n"
        "def eat(body): return bytes(2**30)\n"
        "def nothing(body): return None\n"
    )
    (tmp_path / "sitecustomize.py").write_text(f"import agent\nagent.__path__.append({str(tmp_path)!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


async def asked(worker, function, body=b"", limit_s=20.0):
    return await worker.ask(f"agent.tricks.{function}", body, limit_s)


async def finished(*functions, limit_s=20.0, **options):
    """What a fresh worker says to each function in turn."""
    worker, answers = Worker(**options), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        for function in functions:
            answers.append(await asked(worker, function, b"abc", limit_s))
        tasks.cancel_scope.cancel()
    return answers


async def test_bytes_go_in_and_come_out_of_the_same_process():
    first, echo, second = await finished("pid", "echo", "pid")
    assert echo.body.tobytes() == b"cba"
    assert first.body.tobytes() == second.body.tobytes() != str(os.getpid()).encode()
    assert first.why == echo.why == ""
    assert not psutil.pid_exists(int(first.body.tobytes()))


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("wrong", "ValueError: the devil s level"),
        ("missing", "AttributeError"),
        ("nothing", "TypeError"),
        ("eat", "needs more memory than it may have"),
    ],
)
async def test_a_failure_is_an_answer_and_the_process_stays(function, why):
    before, failed, after = await finished("pid", function, "pid", memory_bytes=400 * 2**20)
    assert failed.why.startswith(why)
    assert len(failed.body) == 0
    assert before.body.tobytes() == after.body.tobytes()


@pytest.mark.parametrize(
    ("function", "why"), [("die", "by signal 11"), ("leave", "with status 3"), ("bug", "the worker ended")]
)
async def test_a_process_that_ends_is_an_answer_and_another_takes_over(function, why):
    before, failed, after = await finished("pid", function, "pid")
    assert why in failed.why
    assert after.why == ""
    assert before.body.tobytes() != after.body.tobytes()


async def test_a_process_that_hangs_is_ended_after_its_time():
    before, failed, after = await finished("pid", "hang", "pid", limit_s=1.0)
    assert failed.why == "took longer than 1 s"
    assert after.why == ""
    assert not psutil.pid_exists(int(before.body.tobytes()))


async def test_a_process_killed_from_outside_is_an_answer():
    worker = Worker()
    pid = int((await asked(worker, "pid")).body.tobytes())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)

        async def kill():
            await anyio.sleep(0.3)
            os.kill(pid, signal.SIGKILL)

        tasks.start_soon(kill)
        assert "by signal 9" in (await asked(worker, "hang")).why
        assert (await asked(worker, "echo", b"ab")).body.tobytes() == b"ba"
        tasks.cancel_scope.cancel()


async def test_only_functions_of_the_package_are_called():
    worker = Worker()
    assert "not a function of this package" in (await worker.ask("os.getcwd", b"")).why
    await worker._end()


async def test_an_idle_process_is_ended_and_a_question_that_is_given_up_too():
    worker = Worker(idle_s=0.4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        pid = int((await asked(worker, "pid")).body.tobytes())
        with anyio.fail_after(10):
            while psutil.pid_exists(pid):
                await anyio.sleep(0.05)
        with anyio.move_on_after(0.5):
            await asked(worker, "hang")
        assert worker._process is None
        tasks.cancel_scope.cancel()


async def test_questions_wait_for_each_other():
    worker, given = Worker(), []

    async def one(body):
        given.append((await asked(worker, "echo", body)).body.tobytes())

    async with anyio.create_task_group() as tasks:
        for body in (b"ab", b"cd", b"ef"):
            tasks.start_soon(one, body)
    await worker._end()
    assert sorted(given) == [b"ba", b"dc", b"fe"]
