"""The code behind a `type` in the configuration: `type: modbus` of a source is agent/drivers/modbus, and so on.

There is no registry: a folder or file with the right names in it is a type.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from agent.config.problems import hint

# Started by the daemon itself: nobody writes them.
OWN = ("self", "feed")
DRIVER = ("Config", "run")
MODEL = ("load", "points", "init", "step")
MODELS = ("twin", "detect")


class NoKind(LookupError):  # noqa: N818
    """A type that is not there; the text lists those that are."""


def driver(name: str) -> Any:
    """The driver of a type: `Config`, `run`, perhaps `check`."""
    return _kind("agent.drivers", name, DRIVER)


def sink(name: str) -> Any:
    """The sink of a type: `Config`, `run`."""
    return _kind("agent.sinks", name, DRIVER)


def drivers() -> list[str]:
    """The types of source that can be written."""
    return _all("agent.drivers", DRIVER)


def sinks() -> list[str]:
    """The types of sink that can be written."""
    return _all("agent.sinks", DRIVER)


def model(name: str) -> Any:
    """The kind of model of a type such as `twin` or `detect.onnx`: `load`, `points`, `init`, `step`."""
    package, _, module = name.partition(".")
    if package in MODELS and not module and _complete(found := importlib.import_module(f"agent.{package}"), MODEL):
        return found
    if package not in MODELS:
        raise NoKind(f"type is {name!r}{hint(name, _models())}")
    try:
        return _kind(f"agent.{package}", module, MODEL)
    except NoKind as error:
        raise NoKind(f"type is {name!r}{hint(name, _models())}") from error


def _kind(package: str, name: str, needed: Sequence[str]) -> ModuleType:
    if name.isidentifier() and importlib.util.find_spec(f"{package}.{name}") is not None:
        module = importlib.import_module(f"{package}.{name}")
        if _complete(module, needed):
            return module
    raise NoKind(f"type is {name!r}{hint(name, _all(package, needed))}")


def _complete(module: ModuleType, needed: Sequence[str]) -> bool:
    return all(hasattr(module, name) for name in needed)


def _all(package: str, needed: Sequence[str]) -> list[str]:
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    modules = {info.name: importlib.import_module(f"{package}.{info.name}") for info in found}
    return sorted(n for n, module in modules.items() if n not in OWN and _complete(module, needed))


def _models() -> list[str]:
    whole = [package for package in MODELS if _complete(importlib.import_module(f"agent.{package}"), MODEL)]
    return whole + [f"{package}.{name}" for package in MODELS for name in _all(f"agent.{package}", MODEL)]
