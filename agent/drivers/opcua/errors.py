"""Errors of the OPC UA library as OSError: what was asked, and the standard's name of the code."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from asyncua import ua

from agent.drivers.opcua.binary.builtin import MalformedError

# What the library's own decoding raises on bytes that are no answer.
NO_ANSWER = (MalformedError, struct.error, ValueError, TypeError, LookupError, OverflowError, AssertionError)


class ServiceError(ConnectionError):
    """A service that the server refused as a whole, with its StatusCode."""

    def __init__(self, text: str, code: int) -> None:
        """Keep the code."""
        super().__init__(text)
        self.code = code


class NoAnswerError(ConnectionError):
    """Bytes came that are no answer."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of the OPC UA library as OSError, with what was asked and the standard's name of the code."""
    try:
        yield
    except ua.UaStatusCodeError as error:
        raise ServiceError(f"{what}: {error}", int(error.code)) from error
    except ua.UaError as error:
        raise ConnectionError(f"{what}: {error}") from error
    except TimeoutError as error:
        raise TimeoutError(f"{what}: no answer in time") from error
    except OSError as error:
        raise _said(error, what) from error


@contextmanager
def decoding() -> Iterator[None]:
    """Around reading an answer: bytes that are none become an OSError."""
    try:
        yield
    except NO_ANSWER as error:
        raise NoAnswerError(f"the answer cannot be read ({error})") from error


def _said(error: OSError, what: str) -> OSError:
    """The same error, with what was asked before it."""
    if isinstance(error, ServiceError):
        return ServiceError(f"{what}: {error}", error.code)
    return type(error)(f"{what}: {error}")


def name_of(code: int) -> str:
    """The standard's name of a StatusCode, its info bits ignored."""
    return str(ua.StatusCode(code & 0xFFFF_0000).name)
