"""Where runs start: from the file, or from the outputs that show a state."""

from __future__ import annotations

import numpy as np

from agent.core.nouns import F8
from agent.fit.physics.reading import Sketch
from agent.fit.recording import FitError
from agent.twin.kinds.physics import network
from agent.twin.kinds.physics.params import Params

FIRST_ROWS = 5


def starts(sketch: Sketch, y: F8) -> tuple[F8, F8]:
    """Where each run of y f8[rows,runs,q] starts, f8[runs,n], and how far that may be off, f8[n], in the states' units.

    FitError names a state that no output shows and of which the file says nothing."""
    values, sds = [], []
    for start in sketch.params.starts:
        shown = shows(sketch.params, start.state)
        if shown is None and np.isnan(start.mean):
            raise FitError(
                f"{sketch.file}: no output shows {start.state}; say under states where it starts, "
                f"such as {start.state}: {{start: 0.3, within: 0.2}}"
            )
        if shown is None:
            values.append(np.full(y.shape[1], start.mean))
            sds.append(start.sd if np.isfinite(start.sd) else max(abs(start.mean), 1.0))
        else:
            j, gain, offset = shown
            values.append((np.nanmean(y[:FIRST_ROWS, :, j], axis=0) - offset) / gain)
            sds.append(start.sd if np.isfinite(start.sd) else max(float(np.nanstd(y[..., j])) / abs(gain), 1e-6))
    return np.array(values).reshape(len(values), y.shape[1]).T, np.array(sds)


def shows(params: Params, state: str) -> tuple[int, float, float] | None:
    """The output that is gain * state + offset, by itself or through a sensor; None where there is none."""
    constants = network.constants(params)
    sensors = {f"{c.name}.value": c for c in params.components if c.kind == "sensor"}
    for j, reading in enumerate(params.outputs):
        if reading.signal == state:
            return j, reading.gain, reading.offset
        sensor = sensors.get(reading.signal)
        if sensor is not None and sensor.ports["of"] == state:
            gain, offset = constants[f"{sensor.name}.gain"], constants[f"{sensor.name}.offset"]
            return j, reading.gain * gain, reading.gain * offset + reading.offset
    return None
