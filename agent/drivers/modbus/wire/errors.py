"""What can become of a request instead of values. `meter` is the class under which it is counted."""

from __future__ import annotations

MEANING = {
    1: " (function not supported)",
    2: " (no such address)",
    3: " (value or length not allowed)",
    4: " (device failure)",
    6: " (busy)",
    10: " (gateway: no path)",
    11: " (gateway: unit does not answer)",
}


class Refused(Exception):  # noqa: N818  (an answer, not an error)
    """The device answered with an exception code (Modbus application protocol, section 7)."""

    meter = "refused"

    def __init__(self, request: str, code: int) -> None:
        """Say what was refused and with which code."""
        super().__init__(f"{request}: the device answered with exception {code}{MEANING.get(code, '')}")
        self.code = code


class NoAnswerError(ConnectionError):
    """It was asked, and the connection was closed or what came is not the answer. TimeoutError: nothing came."""

    meter = "lost"


class MalformedError(NoAnswerError):
    """What came is not the answer to the request."""

    meter = "malformed"


class UnreachableError(ConnectionError):
    """There is no connection: nothing was asked."""

    meter = "lost"
