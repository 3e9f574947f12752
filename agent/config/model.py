"""The base of every configuration model: unknown keys are refused, and what was read never changes."""

from __future__ import annotations

import pydantic


class Model(pydantic.BaseModel):
    """What `Config` of a driver or sink, and each part of the configuration file, extends."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
