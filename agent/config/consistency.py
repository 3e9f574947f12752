"""What no single value tells: names that point nowhere, names there twice, alarms without an answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from agent.config.effective import Effective
from agent.config.problems import Problem, hint, problem
from agent.config.schema import Asset, Class, File, Limit, Modes, TagRow
from agent.config.tree import At, Tree

# ISA-18.2: what makes an alarm one. A limit without these is an alert.
ALARM = ("priority", "consequence", "response", "respond_within_s")
ARRAY = "an array"
GATEWAY, SELF, FEED, MODE = "gateway", "self", "feed", "state/mode"
RESERVED = frozenset({GATEWAY, SELF, FEED, "engine", "journal", "machine", "process", "state"})


def file_problems(tree: Tree, file: File) -> Iterator[Problem]:
    """Ids there twice or reserved, and classes that do not exist."""
    yield from twice(tree, [(a.id, (*a.at, "id")) for a in file.assets], "asset")
    classes = tree.get(("classes",))
    known = list(classes) if isinstance(classes, dict) else []
    for asset in file.assets:
        if asset.id == GATEWAY:
            yield problem(tree.mark((*asset.at, "id")), f"asset id {GATEWAY} is the gateway's own, expected another")
        if asset.kind not in known:
            text = f"there is no class {asset.kind}{hint(asset.kind, map(str, known))}"
            yield problem(tree.mark((*asset.at, "class")), text)


def twice(tree: Tree, names: Iterable[tuple[str, At]], what: str) -> Iterator[Problem]:
    """Names that stand there more than once."""
    first: dict[str, At] = {}
    for name, at in names:
        if name in first:
            line = tree.mark(first[name])
            yield problem(tree.mark(at), f"{what} {name} stands here twice (first in {line}), expected another id")
        first.setdefault(name, at)


def class_problems(tree: Tree, kind: Class) -> Iterator[Problem]:
    """What is wrong with a class apart from its tags."""
    yield from _how_mode(tree, kind.modes)
    yield from twice(tree, [(limit.name, limit.at) for limit in kind.limits], "limit")
    yield from twice(tree, [(m.name, (*m.at, "name")) for m in kind.models], "model")
    for limit in kind.limits:
        yield from _limit(tree, limit)


def _limit(tree: Tree, limit: Limit) -> Iterator[Problem]:
    raw = tree.get(limit.at)
    if (raw.get("high") is None) == (raw.get("low") is None):
        yield problem(tree.mark(limit.at), f"limit of {limit.tag}: expected high or low, one of them")
    missing = [key for key in ALARM if not raw.get(key)]
    if limit.category == "alarm" and missing:
        text = f"alarm {limit.name} has no {', '.join(missing)}: expected all of {', '.join(ALARM)} (or category alert)"
        yield problem(tree.mark(limit.at), text)


def _how_mode(tree: Tree, modes: Modes) -> Iterator[Problem]:
    raw = tree.get(modes.at)
    given = [key for key in ("tag", "rules", "always") if raw.get(key)]
    if not given or ("always" in given and len(given) > 1):
        found = " and ".join(given) or "none"
        text = f"modes has {found}: expected tag with words, or rules, or always"
        yield problem(tree.key_mark(modes.at), text)
    if ("tag" in given) != bool(raw.get("words")):
        yield problem(
            tree.mark(modes.at), "modes: expected tag and words together, such as words: {0: off, 2: running}"
        )
    for rule in modes.rules:
        if tree.get((*rule.at, "at_least")) is None and tree.get((*rule.at, "at_most")) is None:
            yield problem(tree.mark(rule.at), f"rule for {rule.mode.word}: expected at_least or at_most or both")


def row_problems(tags: Tree, rows: Sequence[TagRow]) -> Iterator[Problem]:
    """What is wrong within single rows of a tag list."""
    for row in rows:
        if row.name == MODE:
            yield problem(tags.mark(row.at), f"tag {MODE} is the asset's own mode, expected another name")
        if row.eu_lo is not None and row.eu_hi is not None and row.eu_lo >= row.eu_hi:
            text = f"{row.name}: eu_lo {row.eu_lo:g} is not below eu_hi {row.eu_hi:g}, expected the lower end first"
            yield problem(tags.mark((*row.at, "eu_lo")), text)
        if row.scale == 0:
            yield problem(
                tags.mark((*row.at, "scale")), f"{row.name}: scale is 0, expected another: every value would be 0"
            )
        if row.trace is not None and no_number(row):
            text = f"{row.name} is {no_number(row)}, expected a number to have a trace"
            yield problem(tags.mark((*row.at, "trace")), text)


def tag_problems(tree: Tree, asset: Asset, here: Effective, points: Collection[str] | None) -> Iterator[Problem]:
    """Names of tags that the class does not have. `points`: those of its models, None where a model is not known."""
    names = list(here.tag_tree.value)
    odd = {row.name: word for row in here.rows if (word := no_number(row))}

    def unknown(name: str, at: At, known: Sequence[str] = names) -> Iterator[Problem]:
        if name not in known:
            yield problem(tree.mark(at), f"class {asset.kind} has no tag {name}{hint(name, known)}")

    for key, name in here.kind.context.items():
        yield from unknown(name, (*here.kind.at, "context", key))
        if odd.get(name) == ARRAY:
            at: At = (*here.kind.at, "context", key)
            yield problem(tree.mark(at), f"tag {name} is an array, expected text or a number")
    for name, at in _mode_tags(here.kind.modes):
        yield from unknown(name, at)
        if name in odd:
            yield problem(tree.mark(at), f"tag {name} is {odd[name]}, expected a number to tell the mode")
    yield from _heartbeats(here, asset.period_s)
    for limit in here.kind.limits:
        if points is not None:
            yield from unknown(limit.tag, (*limit.at, "tag"), [*names, *points])
        if limit.tag in odd:
            text = f"tag {limit.tag} is {odd[limit.tag]}, expected a number to have a limit"
            yield problem(tree.mark((*limit.at, "tag")), text)


def no_number(row: TagRow) -> str:
    """What a tag is that is no number; "" for a number."""
    return "text" if row.type.startswith("string") else ARRAY if row.type.endswith("]") else ""


def _mode_tags(modes: Modes) -> Iterator[tuple[str, At]]:
    if modes.tag is not None:
        yield modes.tag, (*modes.at, "tag")
    for rule in modes.rules:
        yield rule.tag, (*rule.at, "tag")


def _heartbeats(here: Effective, period_s: float) -> Iterator[Problem]:
    for row in here.rows:
        if row.heartbeat is None:
            continue
        scan_s, mark = row.scan or period_s, here.tag_tree.mark((*row.at, "heartbeat"))
        if no_number(row):
            yield problem(mark, f"tag {row.name} is {no_number(row)}, expected a number as a heartbeat")
        elif row.heartbeat < 2 * scan_s:
            text = (
                f"heartbeat {row.heartbeat:g} s, but {row.name} is read each {scan_s:g} s: expected two scans or more"
            )
            yield problem(mark, text)
