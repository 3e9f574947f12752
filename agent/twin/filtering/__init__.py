"""Filters over a `Plant`: what is believed of a machine's state, and how far it is to be doubted.

`values` says what is given, held and said; `predict` runs a belief on, `correct` takes measurements in, `steps` is the
cycle over both. One filter serves every kind: deviations of the state and of the outputs are the root of the
covariance times matrices where the kind is linear, and cubature points where it is not.
"""

from agent.twin.filtering.steps import begin, outputs, revise, step
from agent.twin.filtering.values import Belief, Filter, Innovation, Moment, Past, Sample, Trim

__all__ = ["Belief", "Filter", "Innovation", "Moment", "Past", "Sample", "Trim", "begin", "outputs", "revise", "step"]
