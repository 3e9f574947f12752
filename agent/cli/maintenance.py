"""`edgetwin maintenance`: people work on a machine. Alerts are silent, models learn what was replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.arguments import File, Json, MaybeFile, Socket, StateDir

if TYPE_CHECKING:
    from agent.core.nouns import Event

app = typer.Typer(
    help="Say that people work on a machine: alerts are silent, nothing of it is learned.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Asset = Annotated[str, typer.Argument(help="The asset's id.", show_default=False)]
Replaced = Annotated[
    list[str] | None,
    typer.Option("--replaced", help="A component that is new: its health begins anew. Can be given again."),
]
Recalibrated = Annotated[
    list[str] | None,
    typer.Option("--recalibrated", help="A tag (group/name) whose sensor was set right: only its bias begins anew."),
]


@app.command("end", help="Maintenance is over; say what was replaced or recalibrated: its health or bias begins anew.")
@app.command("begin", help="Maintenance begins: the asset's mode is maintenance; alerts are silent, alarms go on.")
def begin_or_end(
    context: typer.Context,
    asset: Asset,
    file: MaybeFile = None,
    replaced: Replaced = None,
    recalibrated: Recalibrated = None,
    socket: Socket = None,
    state_dir: StateDir = None,
) -> None:
    """Maintenance begins, or is over: by the name it was called by."""
    _step(context.info_name or "", asset, replaced, recalibrated, file, socket, state_dir)


@app.command()
def undo(asset: Asset, file: MaybeFile = None, socket: Socket = None, state_dir: StateDir = None) -> None:
    """Take back the last begin or end, with what it said was replaced: health is again what it was before."""
    _step("undo", asset, None, None, file, socket, state_dir)


@app.command("list")
def listing(
    file: File,
    asset: Annotated[str | None, typer.Option(help="Only this asset.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print a file for fit --exclude.")] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """List the times of maintenance that the journal knows: what is to be left out when a model is fitted."""
    from agent.cli.configuration import planned
    from agent.cli.telling import as_json, fail

    plan = planned(file, state_dir, {})
    assets = [a.id for a in plan.assets if asset in (None, a.id)]
    if not assets:
        fail(f"no asset {asset}, there are {', '.join(a.id for a in plan.assets)}")
    rows = [(name, *period) for name in assets for period in _periods(plan.journal.path, name)]
    if json:
        as_json([{"asset": a, "from": begun, "to": ended} for a, begun, ended in rows])
    elif csv:
        typer.echo("\n".join(["from,to,asset", *(f"{begun},{ended},{a}" for a, begun, ended in rows)]))
    else:
        typer.echo("\n".join(f"{a}: {begun} to {ended or 'now'}" for a, begun, ended in rows) or "none")


def _periods(journal: Path, asset: str) -> list[tuple[str, str]]:
    """(from, to) as ISO 8601 in UTC of each maintenance in a journal, to "" where it goes on."""
    from agent.cli.telling import fail
    from agent.core import wire
    from agent.core.nouns import Event
    from agent.engine import maintenance
    from agent.store.read import Reader
    from agent.store.record import EVENT
    from agent.store.schema import StoreError

    try:
        reader = Reader.open(journal)
    except (StoreError, OSError) as error:
        fail(f"{journal}: {error}")
    try:
        events = [(r.wall_ns, wire.decode(Event, r.body).change) for r in reader.records(EVENT, asset)]
    finally:
        reader.close()
    return [(_utc(begun), _utc(ended) if ended else "") for begun, ended in maintenance.periods(events)]


def _utc(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(timespec="seconds")


def _step(
    step: str,
    asset: str,
    replaced: list[str] | None,
    recalibrated: list[str] | None,
    file: Path | None,
    socket: Path | None,
    state_dir: Path | None,
) -> None:
    """Ask, wait for what the engine makes of it, print it; exit 1 where it refuses."""
    from agent.cli import feeding
    from agent.cli.telling import fail

    path = feeding.socket_of(file, socket, state_dir)
    given = {"replaced": replaced, "recalibrated": recalibrated}
    args = {"step": step, **{name: ",".join(values) for name, values in given.items() if values}}
    answer, event = feeding.sync(lambda: feeding.done(path, "maintenance", asset, args, _outcome))
    if not answer.ok:
        fail(answer.text)
    if event is not None and event.change == "refused":
        fail(event.text)
    typer.echo(answer.text if event is None else f"{asset}: {event.text}")


def _outcome(event: Event) -> bool:
    """Whether an event is what became of a step."""
    return event.change.startswith("maintenance_") or (
        event.change == "refused" and event.text.startswith("maintenance")
    )
