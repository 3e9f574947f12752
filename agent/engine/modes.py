"""The mode of an asset, computed first in each step."""

from __future__ import annotations

from dataclasses import replace

from agent.core import quality
from agent.core.nouns import Frame, Mode
from agent.engine.asset import Asset, ModeRule, Modes
from agent.engine.state import ModeState


def step(modes: Modes, state: ModeState, frame: Frame) -> ModeState:
    """The mode of this frame and since when."""
    holding = tuple(_held_ns(rule, since, frame) for rule, since in zip(modes.rules, state.holding_ns, strict=True))
    found = _found(modes, frame, holding)
    known_ns = state.known_ns if found is None else frame.t_ns
    if found is None:
        held = frame.t_ns - state.known_ns <= modes.hold_s * 1e9
        found = state.mode if held else Mode.UNKNOWN
    since_ns = state.since_ns if found == state.mode else frame.t_ns
    return ModeState(found, since_ns, known_ns, holding)


def _held_ns(rule: ModeRule, since_ns: int, frame: Frame) -> int:
    row = frame.names.at[rule.tag]
    inside = bool(rule.at_least <= frame.value[row] <= rule.at_most)
    return (since_ns or frame.t_ns) if inside else 0


def _found(modes: Modes, frame: Frame, holding_ns: tuple[int, ...]) -> Mode | None:
    """The mode, or None where the tags that say it are Bad."""
    if modes.tag is not None:
        row = frame.names.at[modes.tag]
        if quality.is_bad(int(frame.status[row])):
            return None
        return modes.words.get(int(frame.value[row]), Mode.UNKNOWN)
    for rule, since_ns in zip(modes.rules, holding_ns, strict=True):
        if since_ns and frame.t_ns - since_ns >= rule.for_s * 1e9:
            return rule.mode
    return modes.otherwise if not modes.rules or _any_usable(modes, frame) else None


def _any_usable(modes: Modes, frame: Frame) -> bool:
    rows = frame.names.rows(tuple(rule.tag for rule in modes.rules))
    return not bool(quality.bad_mask(frame.status[rows]).all())


def context(asset: Asset, frame: Frame) -> dict[str, str]:
    """Product, recipe, batch ...: the text (or number) of each declared tag, left out where there is none."""
    found = {}
    for key, tag in asset.context.items():
        row = frame.names.at[tag]
        if row in frame.texts:
            found[key] = frame.texts[row]
        elif not quality.is_bad(int(frame.status[row])) and frame.value[row] == frame.value[row]:
            found[key] = f"{frame.value[row]:g}"
    return found


def placed(frame: Frame, state: ModeState, words: dict[str, str]) -> Frame:
    """The frame with the mode and context that hold in it."""
    return replace(frame, mode=state.mode, mode_age_ns=frame.t_ns - state.since_ns, context=words)
