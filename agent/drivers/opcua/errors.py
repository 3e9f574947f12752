"""Errors of the OPC UA library as OSError: what was asked, and the standard's name of the code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asyncua import ua


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of the OPC UA library as OSError, with what was asked and the standard's name of the code."""
    try:
        yield
    except ua.UaStatusCodeError as error:
        raise ConnectionError(f"{what}: {error}") from error
    except ua.UaError as error:
        raise ConnectionError(f"{what}: {error}") from error
    except TimeoutError as error:
        raise TimeoutError(f"{what}: no answer in time") from error
    except OSError as error:
        raise type(error)(f"{what}: {error}") from error
