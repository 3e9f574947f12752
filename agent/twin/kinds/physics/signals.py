"""What stands between the process and its numbers: sensors, actuators, and their lags."""

from __future__ import annotations

import numpy as np

from agent.twin.kinds.physics.law import ComponentKind, Law, Quantity

# A signal of any unit: the file says which.
ANY = Quantity("", -1e12, 1e12)

SENSOR = ComponentKind(
    says="a transmitter: gain times what it measures, and an offset, within its range",
    parameters={
        "gain": Quantity("", -1e12, 1e12, 1.0),
        "offset": Quantity("", -1e12, 1e12, 0.0),
        "lowest": Quantity("", -1e12, 1e12, -1e12),
        "highest": Quantity("", -1e12, 1e12, 1e12),
    },
    reads={"of": ANY},
    gives={"value": ANY},
    laws=(
        Law(
            "value",
            lambda of, gain, offset, lowest, highest: np.minimum(np.maximum(gain * of + offset, lowest), highest),
        ),
    ),
)

# T y' = x - y
LAG = ComponentKind(
    says="a first-order lag: an actuator that follows, a sensor in a pocket",
    parameters={"time": Quantity("s", 1e-3, 1e9)},
    states={"value": Quantity("", -1e12, 1e12, 0.0)},
    reads={"of": ANY},
    gives={"value": ANY},
    laws=(Law("value'", lambda of, value, time: (of - value) / time),),
)
