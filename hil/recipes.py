"""What the line makes and when it stands still: seeded recipes with small moves, and a schedule of stops."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from hil.physics import outflow_of
from hil.rig import Rig
from hil.steady import opening_for


@dataclass(frozen=True, slots=True)
class Recipe:
    """A product and the levels it is made at, in metres."""

    product: str
    lower_m: float
    upper_m: float


RECIPES = (
    Recipe("water-20", 0.20, 0.28),
    Recipe("water-23", 0.23, 0.33),
    Recipe("water-25", 0.25, 0.30),
    Recipe("water-28", 0.28, 0.34),
    Recipe("water-30", 0.30, 0.31),
)
FIRST = RECIPES[2]


@dataclass(frozen=True, slots=True)
class Order:
    """What the PLC program is told to do: product, base set point m, its small move m, valve opening 0..1."""

    product: str
    base_m: float
    move_m: float
    opening: float


def base_opening(rig: Rig, recipe: Recipe) -> float:
    """Valve opening at which both levels of a recipe settle."""
    return opening_for(rig, outflow_of(rig, rig.lower_orifice_m2, recipe.lower_m), recipe.upper_m)


def orders(rig: Rig, seed: str) -> Iterator[tuple[float, Order]]:
    """Endless (duration s, order): a recipe lasts 60 to 120 s, set point and valve move a little each 12 to 24 s."""
    draw = Random(f"{seed}/recipes")
    recipe, move_m, move_valve = FIRST, 0.0, 0.0
    while True:
        left_s = draw.uniform(60.0, 120.0)
        opening = base_opening(rig, recipe)
        while left_s > 0.0:
            hold_s = min(left_s, draw.uniform(12.0, 24.0))
            yield hold_s, Order(recipe.product, recipe.lower_m, move_m, opening + move_valve)
            left_s -= hold_s
            move_m, move_valve = draw.uniform(-0.012, 0.012), draw.uniform(-0.015, 0.015)
        recipe = draw.choice([r for r in RECIPES if r is not recipe])


def schedule(seed: str) -> Iterator[tuple[float, str]]:
    """Endless (duration s, what the line is to do): long runs with stops, standby, cleaning and maintenance between."""
    draw = Random(f"{seed}/schedule")
    while True:
        yield draw.uniform(400.0, 900.0), "run"
        yield draw.uniform(60.0, 150.0), draw.choice(("idle", "idle", "off", "clean", "maintain"))
