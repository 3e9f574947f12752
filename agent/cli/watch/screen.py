"""The view drawn with rich: one table an asset, then score, case, events, and who is up and has received what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.cli import twins
from agent.cli.telling import listed
from agent.cli.watch.history import View, sparkline
from agent.core import quality
from agent.core.nouns import Condition, Kind, Mode, Part, Point, Role, Snapshot

GATEWAY = "gateway"
Row = dict[Role, tuple[Point, float, int]]


def draw(view: View, keys: str, now_ns: int, wall_ns: int, width: int = 140) -> RenderableType:
    """The whole screen, `width` characters wide, at a moment of the boot clock (`now_ns`) and UTC (`wall_ns`)."""
    if view.catalogue is None:
        return Panel(Text(view.notice or "waiting for the daemon ..."), title="edgetwin")
    machines = [part for part in view.catalogue.parts if part.asset != GATEWAY]
    blocks: list[RenderableType] = [_asset(view, part, now_ns, width) for part in machines]
    blocks.append(_events(view, now_ns, wall_ns))
    blocks.append(_gateway(view))
    if keys or view.notice:
        blocks.append(Text(f" {keys}   {view.notice}", style="dim"))
    return Group(*blocks)


def _asset(view: View, part: Part, now_ns: int, width: int) -> RenderableType:
    snapshot = view.newest.get(part.asset)
    if snapshot is None:
        return Panel(Text("no cycle yet"), title=part.asset)
    words = " ".join(f"{k}={v}" for k, v in snapshot.context.items())
    mode = Text.assemble((snapshot.mode.word.upper(), _mode_style(snapshot.mode)), f"  {words}")
    rows = [_points(view, part, width), _score(view, part), _twins(view, snapshot), _case(snapshot, now_ns)]
    return Panel(Group(*rows), title=Text.assemble(f"{part.title or part.asset}  ", mode), title_align="left")


def _mode_style(mode: Mode) -> str:
    return {Mode.RUNNING: "bold green", Mode.FAULT: "bold red", Mode.UNKNOWN: "bold red"}.get(mode, "bold yellow")


def _points(view: View, part: Part, width: int) -> Table:
    """The trend takes what a terminal has left over; in a narrow one the quality is cut short first."""
    trend = max(0, min(24, width - 108))
    table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
    for name in ("tag", "measured", "unit", "expected", "trend", "residual", "deviation", "quality"):
        right = name in ("measured", "expected", "residual")
        if name != "trend" or trend:
            table.add_column(name, justify="right" if right else "left", no_wrap=name != "quality")
    for point_id, cells in view.around(part.asset).items():
        row = _row(view, part.asset, point_id, cells, trend)
        table.add_row(*(row if trend else (*row[:4], *row[5:])))
    return table


def _row(view: View, asset: str, point_id: str, cells: Row, trend: int) -> tuple[RenderableType, ...]:
    own = cells.get(Role.MEASURED) or cells[Role.VIRTUAL]
    point, value, status = own
    virtual = point.role is Role.VIRTUAL
    name = point_id.removeprefix(asset + "/") + (" *" if virtual else "")
    return (
        Text(name, style="cyan" if virtual else ""),
        "" if virtual else _shown(view, asset, point, value, status),
        point.unit,
        _number(*own[1:]) if virtual else _role(cells, Role.EXPECTED),
        _trend(view, point, trend),
        _role(cells, Role.RESIDUAL, 2),
        _bar(cells.get(Role.DEVIATION)),
        _quality(status),
    )


def _trend(view: View, point: Point, width: int) -> str:
    return sparkline(view.trends[point.id], width) if point.kind is Kind.NUMBER and width else ""


def _shown(view: View, asset: str, point: Point, value: float, status: int) -> str:
    if quality.is_bad(status):
        return "-"
    if point.kind in (Kind.TEXT, Kind.ARRAY):
        row = [p.id for p in view.catalogue.of(asset)].index(point.id) if view.catalogue else -1
        array = view.newest[asset].arrays.get(row)
        return view.newest[asset].texts.get(row, "-") if array is None else listed(array.tolist())
    if point.kind is Kind.ENUMERATION and value == value:
        return point.enum.get(int(value), f"{value:g}")
    return _number(value, status)


def _number(value: float, status: int, digits: int = 4) -> str:
    if value != value or quality.is_bad(status):
        return "-"
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.{digits}g}"


def _role(cells: Row, role: Role, digits: int = 4) -> str:
    if role not in cells:
        return ""
    _, value, status = cells[role]
    return (
        _number(value, status, digits) if not quality.is_bad(status) else f"({quality.REASONS.get(status, 'absent')})"
    )


def _bar(cell: tuple[Point, float, int] | None, width: int = 8) -> Text:
    """A bar of |value| up to its limit 1, red beyond."""
    if cell is None or quality.is_bad(cell[2]) or cell[1] != cell[1]:
        return Text("")
    size = abs(cell[1])
    style = "red" if size >= 1 else "yellow" if size > 0.6 else "green"
    return Text("█" * max(1, round(min(size, 1.0) * width)), style=style) + Text(f" {cell[1]:+.2f}", style="dim")


def _quality(status: int) -> Text:
    style = ("green", "yellow", "red", "red")[quality.severity(status)]
    return Text(quality.name(status), style=style, no_wrap=True, overflow="ellipsis")


def _score(view: View, part: Part) -> RenderableType:
    score, status = view.read(f"{part.asset}/anomaly/score")
    if status == quality.BAD_NODE_ID_UNKNOWN:
        return Text("")
    limit, _ = view.read(f"{part.asset}/anomaly/limit")
    if quality.is_bad(status):
        return Text(f"anomaly score: {quality.REASONS.get(status, quality.name(status))}", style="dim")
    style = "bold red" if score > limit else "green"
    trend = sparkline(view.trends[f"{part.asset}/anomaly/score"], 24)
    return Text.assemble("anomaly score ", (f"{score:.2f}", style), f" of limit {limit:.2f}  {trend}")


def _twins(view: View, snapshot: Snapshot) -> Text:
    """What the models say of the machine and of themselves, in one line."""
    points = view.catalogue.of(snapshot.asset) if view.catalogue else ()
    return Text(twins.line(twins.said(points, snapshot)), no_wrap=True, overflow="ellipsis")


def _case(snapshot: Snapshot, now_ns: int) -> RenderableType:
    lines = [_condition(c, now_ns) for c in snapshot.conditions if c.active or not c.acknowledged]
    case = snapshot.case
    if case is not None and not case.closed_ns:
        age = _age(now_ns - case.opened_ns)
        lines.insert(0, Text(f"CASE {case.id} open for {age}: look at {case.blamed}", style="bold red"))
    return Group(*lines) if lines else Text("no open case, no active condition", style="green")


def _condition(condition: Condition, now_ns: int) -> Text:
    state = "active" if condition.active else "over, not acknowledged"
    if condition.shelved_until_ns:
        state += ", shelved"
    state += ", provisional" * condition.provisional
    text = f"  {condition.category} {condition.id}: {state} for {_age(now_ns - condition.since_ns)}"
    return Text(f"{text}, {condition.value:.4g} against {condition.limit:.4g}", style="red" if condition.active else "")


def _age(age_ns: int) -> str:
    seconds = age_ns / 1e9
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _events(view: View, now_ns: int, wall_ns: int) -> RenderableType:
    lines = []
    for event in list(view.events)[-6:]:
        at = datetime.fromtimestamp((event.t_ns + wall_ns - now_ns) / 1e9, UTC).strftime("%H:%M:%S")
        lines.append(Text(f"{at} {event.asset}: {event.text}", no_wrap=True, overflow="ellipsis"))
    return Panel(Group(*lines) if lines else Text("none yet", style="dim"), title="events (UTC)", title_align="left")


def _gateway(view: View) -> RenderableType:
    """Sources with the age of their data; then what left for the cloud, SCADA and the disk."""

    def meter(name: str) -> float:
        value, status = view.read(f"{GATEWAY}/{name}")
        return float("nan") if quality.is_bad(status) else value

    lines = [Text.assemble("sources  ", *_sources(view, meter))]
    acknowledged, pending, link = meter("mqtt/acknowledged"), meter("mqtt/pending"), meter("mqtt/connected")
    lines.append(Text(f"cloud    {_up(link)}  {_count(acknowledged)} acknowledged, {_count(pending)} waiting"))
    sessions, sent = meter("opcua/sessions"), meter("opcua/notifications")
    lines.append(Text(f"SCADA    {_count(sessions)} sessions, {_count(sent)} changes sent"))
    size, dropped = meter("journal/bytes"), meter("journal/dropped")
    lines.append(
        Text(f"journal  {_count(size / 1e6)} MB, {_count(dropped)} dropped   step {meter('engine/step_ms'):.2f} ms")
    )
    return Panel(Group(*lines), title="gateway", title_align="left")


def _sources(view: View, meter: Callable[[str], float]) -> list[Text]:
    found = []
    for point in view.catalogue.of(GATEWAY) if view.catalogue and GATEWAY in view.newest else ():
        name = point.id.split("/")[1]
        if point.id == f"{GATEWAY}/{name}/age_s":
            up = meter(f"{name}/connected") == 1.0
            style = "green" if up else "bold red"
            found.append(Text(f"{name} {'up' if up else 'DOWN'} {meter(f'{name}/age_s'):.1f} s   ", style=style))
    return found


def _up(value: float) -> str:
    return "up" if value == 1.0 else "DOWN"


def _count(value: float) -> str:
    return "-" if value != value else f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
