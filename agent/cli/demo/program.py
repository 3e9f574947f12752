"""`edgetwin demo`: starts the rig, shows or counts what flows, and stops what it started."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import typer

from agent.cli.demo import rig as rigs
from agent.cli.demo.counting import Counts, report
from agent.cli.demo.processes import DemoError
from agent.cli.demo.rig import Rig
from agent.cli.telling import as_json, fail
from agent.cli.watch.program import Key, watch
from agent.runtime import clock
from agent.sinks.feed.client import connect

FAULTS = ("leak", "wear", "drift", "friction", "none")
START = ("plant", "plc1", "plc2", "broker", "agent", "cloud", "scada")
SILENT = ("agent", "cloud", "scada")  # these print no line that says ready


def run(
    headless: bool,
    for_s: float | None,
    json: bool,
    state_dir: Path | None,
    fault: str,
    fault_at_s: float,
    ports: str,
    seed: int,
) -> None:
    """Run the demonstration; headless it ends with 0 only if everything flowed and the fault was found."""
    if fault not in FAULTS:
        fail(f"--fault {fault}: expected one of {', '.join(FAULTS)}", 2)
    if ports not in ("fixed", "free"):
        fail(f"--ports {ports}: expected fixed or free", 2)
    missing = [name for name in ("hil", "amqtt") if importlib.util.find_spec(name) is None]
    if missing:
        fail(f"the demonstration needs {', '.join(missing)}: pip install 'edgetwin[demo]' from the source tree")
    if not rigs.CONFIG.exists():
        fail(f"the demonstration runs from the source tree: there is no {rigs.CONFIG}")
    folder = state_dir or Path(tempfile.mkdtemp(prefix="edgetwin-demo-"))
    try:
        found = asyncio.run(_whole(folder, ports, seed, headless, for_s, fault, fault_at_s))
    except DemoError as error:
        fail(str(error))
    finally:
        if state_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    if headless:
        as_json(found) if json else typer.echo("\n".join(_lines(found)))
        raise typer.Exit(0 if found["ok"] else 1)


async def _whole(
    folder: Path, ports: str, seed: int, headless: bool, for_s: float | None, fault: str, fault_at_s: float
) -> dict[str, Any]:
    rig = rigs.built(folder, rigs.ports(ports), seed)
    counts = Counts(rigs.ASSET)
    async with _running(rig):
        started_ns = clock.now_ns()
        main = _shown(rig) if not headless else _quiet(for_s or 90.0)
        tasks = [
            asyncio.create_task(main),
            asyncio.create_task(_count(rig, counts)),
            asyncio.create_task(_break(rig, counts, fault, fault_at_s)),
        ]
        try:
            async with asyncio.timeout(None if headless else for_s):
                await tasks[0]
        except TimeoutError:
            pass
        finally:
            await _end(tasks)
        duration_s = (clock.now_ns() - started_ns) * 1e-9
        for name in ("cloud", "scada"):
            await rig.children[name].stop()
    seen = {name: rig.children[name].last for name in ("cloud", "scada")}
    return report(counts, fault, seen["cloud"], seen["scada"], duration_s)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Stop the tasks; an error that one of them ended with is raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


@asynccontextmanager
async def _running(rig: Rig) -> AsyncIterator[None]:
    """All processes, started in order and stopped in the reverse one."""
    typer.echo(_how_to_connect(rig), err=True)
    try:
        for name in START:
            await rig.children[name].start(ready=name not in SILENT)
        yield
    finally:
        for name in reversed(START):
            await rig.children[name].stop()


def _how_to_connect(rig: Rig) -> str:
    return (
        f"OPC UA server   {rig.endpoint}  (Basic256Sha256 or better, SignAndEncrypt)\n"
        f"  UaExpert: add this server, user {rigs.USER}, password {rig.password_file.read_text().strip()}\n"
        f"MQTT broker     127.0.0.1:{rig.ports.broker}, topics edgetwin/#\n"
        f"logs            {rig.folder}"
    )


async def _quiet(for_s: float) -> None:
    """Wait, or less where somebody stops us."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), for_s)


async def _shown(rig: Rig) -> None:
    orders: dict[str, tuple[str, dict[str, Any]]] = {
        "l": ("leak", {"do": "leak"}),
        "w": ("pump wear", {"do": "wear"}),
        "d": ("sensor drift", {"do": "drift"}),
        "c": ("cut the PLC", {"do": "cut", "of": "modbus"}),
        "r": ("repair", {"do": "repair"}),
    }
    keys = {key: Key(label, partial(_order, rig, order)) for key, (label, order) in orders.items()}
    await watch(rig.feed, keys)


async def _order(rig: Rig, order: dict[str, Any]) -> str:
    try:
        await rigs.tell_plant(rig.control, order)
    except DemoError as error:
        return str(error)
    return f"told the plant: {order['do']}"


async def _count(rig: Rig, counts: Counts) -> None:
    while True:
        try:
            async with connect(rig.feed) as feed:
                async for noun in feed:
                    counts.take(noun)
        except ConnectionError:
            pass
        await asyncio.sleep(0.3)


async def _break(rig: Rig, counts: Counts, fault: str, at_s: float) -> None:
    if fault == "none":
        return
    await asyncio.sleep(at_s)
    counts.injected_ns = clock.now_ns()
    await rigs.tell_plant(rig.control, {"do": fault})


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{name:16} {count}" for name, count in found["hops"].items()]
    fault = found["fault"]
    if fault["fault"] != "none":
        said = f"found after {fault['delay_s']} s, look at {fault['blamed']}" if fault["found"] else "NOT found"
        lines.append(f"{fault['fault']:16} {said}")
    return [*lines, "everything flowed" if found["ok"] else "NOT everything flowed"]
