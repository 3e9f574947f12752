"""Two tanks in a row as a linear twin with known matrices: what is asked of it has an answer in closed form."""

import numpy as np

from agent.twin.domain import Domain
from agent.twin.filtering import Belief
from agent.twin.kind import Channel
from agent.twin.kinds import identified
from agent.twin.plant import Plant
from agent.twin.twin import Twin

A = np.array([[0.95, 0.0], [0.05, 0.94]])
B = np.array([[0.05], [0.0]])
C = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]])
D = np.array([[0.0], [0.0], [0.5]])
SPEED, UPPER, LOWER, POWER = "pump/speed", "upper/level", "lower/level", "pump/power"


def plant(Q=1e-3, R=1e-4, A=A):
    """Speed (%) drives both levels (m); the pump's power (W) is virtual."""
    params = identified.Params(
        period_s=1.0,
        u_mean=np.array([60.0]),
        u_scale=np.array([10.0]),
        y_mean=np.array([0.3, 0.2, 100.0]),
        y_scale=np.array([0.1, 0.1, 20.0]),
        A=A,
        B=B,
        a=np.zeros(2),
        C=C,
        D=D,
        c=np.zeros(3),
        tanh=None,
        Q=Q * np.eye(2),
        x0=np.zeros(2),
        P0=np.eye(2),
    )
    return Plant(
        kind=identified,
        params=params,
        inputs=(Channel(SPEED, "%", 60.0, 10.0, 30.0, 90.0),),
        outputs=(Channel(UPPER, "m", 0.3, 0.1, 0.05, 0.55), Channel(LOWER, "m", 0.2, 0.1, 0.05, 0.5)),
        virtual=(Channel(POWER, "W", 100.0, 20.0, 40.0, 160.0),),
        period_s=1.0,
        R=np.array([R, R]) * 1e-2,
        quantum=np.zeros(2),
    )


def domain(radius=3.0):
    """A ball of that many standard deviations around the operating point."""
    return Domain(np.array([60.0, 0.3, 0.2]), np.diag([1e-2, 1e2, 1e2]), radius)


def twin(**sections):
    """The whole twin, as a file would give it."""
    return Twin(
        plant=plant(),
        modes=("running",),
        settle_s=0.0,
        hold_periods=3,
        reference=0.1,
        spread=np.array([0.01, 0.01, 2.0]),
        domain=domain(),
        score={"nrmse": 0.1},
        training={"rows": 1000},
        **sections,
    )


def belief(spread=0.1):
    """At the operating point, so sure."""
    return Belief(np.zeros(2), spread * np.eye(2))
