"""Motor, winding and battery."""

from __future__ import annotations

from typing import Any

import numpy as np

from agent.twin.kinds.physics.law import ComponentKind, Law, Quantity

# i^2 = idle^2 + (P / (w U))^2: magnetising and torque current of an induction motor on a drive with U / f constant.
MOTOR = ComponentKind(
    says="a motor on a drive: magnetising current and torque current at right angles",
    parameters={
        "idle": Quantity("A", 0.0, 1e4),
        "voltage": Quantity("V", 0.1, 1e5),
        "friction": Quantity("W", 0.0, 1e6, 0.0),
        "resistance": Quantity("Ohm", 0.0, 1e4, 0.0),
    },
    reads={"power": Quantity("W", 0.0, 1e9), "speed": Quantity("1", 0.0, 2.0)},
    gives={"current": Quantity("A"), "loss": Quantity("W"), "torque_current": Quantity("A")},
    laws=(
        Law(
            "torque_current",
            lambda power, speed, friction, voltage: (power / np.maximum(speed, 0.05) + friction * speed) / voltage,
        ),
        Law("current", lambda idle, torque_current: np.sqrt(idle * idle + torque_current * torque_current)),
        Law("loss", lambda resistance, current: resistance * (current * current)),
    ),
)

# C T' = loss - (T - Ta) / R
THERMAL = ComponentKind(
    says="a body that is warmed by a loss and cooled by its surroundings",
    parameters={"capacity": Quantity("J/K", 1e-3, 1e9), "resistance": Quantity("K/W", 1e-6, 1e6)},
    states={"temperature": Quantity("degC", -100.0, 1000.0, 25.0)},
    reads={"loss": Quantity("W", 0.0, 1e9), "ambient": Quantity("degC", -100.0, 200.0)},
    gives={"temperature": Quantity("degC")},
    laws=(
        Law(
            "temperature'",
            lambda capacity, resistance, temperature, loss, ambient: (
                (loss - (temperature - ambient) / resistance) / capacity
            ),
        ),
    ),
)


def _capacitance(soc: Any, Cbp0: Any, Cbp1: Any, Cbp2: Any, Cbp3: Any) -> Any:
    return ((Cbp0 * soc + Cbp1) * soc + Cbp2) * soc + Cbp3


def _heating(tb: Any, Vcs: Any, Vcp: Any, Rcp: Any, Ta: Any, cooling: Any, surface: Any, concentration: Any) -> Any:
    # Jt tb' = ha (Ta - tb) + hcs Vcs^2 / Rs + hcp Vcp^2 / Rcp
    return cooling * (Ta - tb) + surface * Vcs * Vcs + concentration * Vcp * Vcp / Rcp


# Daigle and Sankararaman, "Advanced Methods for Determining Prediction Uncertainty in Model-Based Prognostics with
# Application to Planetary Rovers", PHM 2013; thermal part as published with ProgPy 1.9. The letters are theirs:
#   SOC = (CMax - qMax + qb) / CMax;  Cb = Cbp0 SOC^3 + Cbp1 SOC^2 + Cbp2 SOC + Cbp3
#   Rcp = Rcp0 + Rcp1 exp(Rcp2 (1 - SOC));  Vb = qb / Cb;  Vcp = qcp / Ccp;  Vcs = qcs / Cs;  V = Vb - Vcp - Vcs
#   qb' = -ib, ib = i + V / Rp;  qcp' = ib - Vcp / Rcp;  qcs' = ib - Vcs / Rs
BATTERY = ComponentKind(
    says="a battery as an equivalent circuit: bulk, concentration and surface charge, temperature",
    parameters={
        "qMax": Quantity("C", 1.0, 1e9),
        "CMax": Quantity("C", 1.0, 1e9),
        "Cbp0": Quantity("F", -1e9, 1e9),
        "Cbp1": Quantity("F", -1e9, 1e9),
        "Cbp2": Quantity("F", -1e9, 1e9),
        "Cbp3": Quantity("F", -1e9, 1e9),
        "Rs": Quantity("Ohm", 1e-9, 1e6),
        "Cs": Quantity("F", 1e-6, 1e9),
        "Rcp0": Quantity("Ohm", 1e-9, 1e6),
        "Rcp1": Quantity("Ohm", 0.0, 1e6, 0.0),
        "Rcp2": Quantity("1", 0.0, 200.0, 0.0),
        "Ccp": Quantity("F", 1e-6, 1e9),
        "Rp": Quantity("Ohm", 1e-3, 1e12, 1e4),
        "Ta": Quantity("K", 100.0, 1000.0, 293.15),
        "Jt": Quantity("J/K", 1e-3, 1e9, 800.0),
        "ha": Quantity("W/K", 0.0, 1e6, 0.5),
        "hcp": Quantity("1", 0.0, 1e6, 1.0),
        "hcs": Quantity("1", 0.0, 1e6, 1.0),
    },
    states={
        "tb": Quantity("K", 100.0, 2000.0, 293.15),
        "qb": Quantity("C", 0.0, 1e9, 1.0),
        "qcp": Quantity("C", -1e9, 1e9, 0.0),
        "qcs": Quantity("C", -1e9, 1e9, 0.0),
    },
    reads={"i": Quantity("A", -1e6, 1e6)},
    gives={"v": Quantity("V"), "t": Quantity("K"), "soc": Quantity("1"), "ib": Quantity("A")},
    laws=(
        Law("empty", lambda qMax, CMax: 1.0 - qMax / CMax),
        Law("cooling", lambda ha, Jt: ha / Jt),
        Law("surface", lambda hcs, Rs, Jt: hcs / (Rs * Jt)),
        Law("concentration", lambda hcp, Jt: hcp / Jt),
        Law("soc", lambda qb, CMax, empty: qb / CMax + empty),
        Law("Cb", _capacitance),
        Law("Vcp", lambda qcp, Ccp: qcp / Ccp),
        Law("Vcs", lambda qcs, Cs: qcs / Cs),
        Law("v", lambda qb, Cb, Vcp, Vcs: qb / Cb - Vcp - Vcs),
        Law("t", lambda tb: tb),
        Law("Rcp", lambda soc, Rcp0, Rcp1, Rcp2: Rcp0 + Rcp1 * np.exp(Rcp2 - Rcp2 * soc)),
        Law("ib", lambda i, v, Rp: v / Rp + i),
        Law("qb'", lambda ib: -ib),
        Law("qcp'", lambda ib, Vcp, Rcp: ib - Vcp / Rcp),
        Law("qcs'", lambda ib, Vcs, Rs: ib - Vcs / Rs),
        Law("tb'", _heating),
    ),
)
