"""asyncua's transport with one thing put right: a secure channel that is refused says why.

Servers refuse OpenSecureChannel with an Error message or with a ServiceFault; of the second the library makes an
assertion that fails, and the reason (that our certificate is not trusted, mostly) is lost.
"""

from __future__ import annotations

from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.utils import Buffer


class Wire(UaClient):  # type: ignore[misc]
    """The services, over our protocol."""

    def _make_protocol(self) -> Protocol:
        """As the library does it."""
        self.protocol = made = Protocol(self._timeout, security_policy=self.security_policy)
        made.pre_request_hook = self._pre_request_hook
        made.on_connection_lost = self._on_transport_lost
        made.is_session_closing = self._is_session_closing
        return made


class Protocol(UASocketProtocol):  # type: ignore[misc]
    """One connection."""

    def _call_callback(self, request_id: int, body: Any) -> None:
        """Give an answer to who waits for it; a ServiceFault that answers OpenSecureChannel as an error."""
        if isinstance(body, Buffer) and self._open_secure_channel_exchange is not None:
            try:
                self.check_answer(body, "")
            except ua.UaStatusCodeError as error:
                waiting = self._callbackmap.get(request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_exception(error)
        super()._call_callback(request_id, body)
