"""What can be wrong with a connection, in words an operator can act on."""

from __future__ import annotations

from enum import IntEnum


class Fault(IntEnum):
    """The number is what the meter `<id>/fault` shows."""

    NONE = 0
    UNREACHABLE = 1
    SILENT = 2
    REFUSED_US = 3
    TLS = 4
    REFUSED_MESSAGE = 5
    TAKEN_OVER = 6
    HUNG_UP = 7
    FILE = 8
    TURNED_AWAY = 9


WORDS = {
    Fault.NONE: "none",
    Fault.UNREACHABLE: "cannot be reached",
    Fault.SILENT: "does not answer",
    Fault.REFUSED_US: "refuses us: name, password, certificate or client id",
    Fault.TLS: "TLS: its certificate or ours is not accepted",
    Fault.REFUSED_MESSAGE: "refuses a message or subscription: our rights or its quota",
    Fault.TAKEN_OVER: "another client seems to use our client id",
    Fault.HUNG_UP: "has closed the connection",
    Fault.TURNED_AWAY: "hangs up before it lets us in: our certificate, or what stands between",
    Fault.FILE: "a file of ours cannot be read: password or certificate",
}


class LinkError(ConnectionError):
    """Why there is no connection, or none any more; `fault` is its kind."""

    def __init__(self, said: str, fault: Fault) -> None:
        """`said` is what the library or the broker says."""
        super().__init__(said)
        self.fault = fault
