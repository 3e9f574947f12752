"""Physics twins from a file and a recording: unknown parameters found within their bounds, each with its interval."""

from agent.fit.physics.fitting import fit_plant, refit
from agent.fit.physics.flow import fit
from agent.fit.physics.report import ParameterReport
from agent.fit.physics.trajectories import Run

__all__ = ["ParameterReport", "Run", "fit", "fit_plant", "refit"]
