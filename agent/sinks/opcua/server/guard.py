"""Whom a message may come from. The library decodes and answers; these subclasses look first.

OPC 10000-4 §5.7.3: (a) a session belongs to the secure channel it was created on, (b) the certificate shown at
CreateSession is the channel's own and is trusted, (c) a session moves to another channel only with the same certificate
and the same user, verified before anything changes, (d) the authentication token cannot be guessed (see sessions).
Besides: what is too long is refused before it is buffered, and what is malformed closes its connection.
"""

from __future__ import annotations

import logging
import math
import struct
from typing import Any

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary
from cryptography.exceptions import InvalidSignature

from agent.runtime.pki.certificates import first
from agent.sinks.opcua.server.certificates import TrustList, Untrusted
from agent.sinks.opcua.server.sessions import Internal, Session

log = logging.getLogger(__name__)

CHUNK = 65535  # bytes


def _request(name: str) -> ua.NodeId:
    return ua.NodeId(getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary"))


# What needs no session, and is all that an unsecured channel may ask: a client has to find the endpoints first.
OPEN_TO_ALL = {_request("GetEndpoints"), _request("FindServers"), _request("CloseSecureChannel")}
REFUSED = {_request("RegisterServer"), _request("RegisterServer2")}
CREATE, ACTIVATE, CLOSE = _request("CreateSession"), _request("ActivateSession"), _request("CloseSession")

# What the library's decoding raises on bytes that are not what they should be.
MALFORMED = (ua.UaError, InvalidSignature, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError)


class Processor(UaProcessor):  # type: ignore[misc]
    """One secure channel."""

    def __init__(self, iserver: Internal, transport: Any, limits: TransportLimits, trust: TrustList) -> None:
        """`trust` says which certificates are accepted."""
        super().__init__(iserver, transport, limits)
        self.trust = trust

    async def process(self, header: Any, body: Any) -> bool:
        """Handle one chunk; False closes the connection."""
        try:
            return bool(await super().process(header, body))
        except MALFORMED as error:
            self.iserver.refused += 1
            status = ua.StatusCode(getattr(error, "code", ua.StatusCodes.BadSecurityChecksFailed))
            log.warning("opcua: closed the connection from %s: %s (%s)", self.name, status.name, error)
            self._transport.write(uatcp_to_binary(ua.MessageType.Error, ua.ErrorMessage(status, status.name)))
            return False

    def open_secure_channel(self, algohdr: Any, seqhdr: Any, body: Any) -> None:
        """Only for a trusted certificate; a renewal only for the one it was opened with."""
        if algohdr.SecurityPolicyURI != SecurityPolicyNone.URI:
            if self._connection.is_open() and first(algohdr.SenderCertificate) != self._certificate():
                raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
            self._check(algohdr.SenderCertificate)
        super().open_secure_channel(algohdr, seqhdr, body)

    def _certificate(self) -> bytes | None:
        return first(self._connection.security_policy.peer_certificate)

    def _check(self, certificate: bytes | None, application_uri: str | None = None) -> None:
        try:
            self.trust.check(certificate or b"", application_uri)
        except Untrusted as error:
            log.warning("opcua: client at %s: %s: %s", self.name, error.reason, error)
            raise ServiceError(getattr(ua.StatusCodes, error.reason)) from error

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        if typeid in REFUSED:
            raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
        if typeid not in OPEN_TO_ALL:
            if self._connection.security_policy.Mode != ua.MessageSecurityMode.SignAndEncrypt:
                raise ServiceError(ua.StatusCodes.BadSecurityModeInsufficient)
            if typeid == CREATE:
                self._check_create(struct_from_binary(ua.CreateSessionParameters, body.copy()))
            elif typeid == ACTIVATE:
                await self._check_activate(requesthdr, struct_from_binary(ua.ActivateSessionParameters, body.copy()))
            else:
                self._check_owner(requesthdr, typeid)
        answer = await super()._process_message(typeid, requesthdr, seqhdr, body)
        if typeid in (CREATE, ACTIVATE) and self.session is not None:
            self.session.channel = self
            self.session.certificate = self._certificate()
        return answer

    def _check_create(self, params: Any) -> None:
        """Rule (b)."""
        if first(params.ClientCertificate) != self._certificate():
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        self._check(params.ClientCertificate, params.ClientDescription.ApplicationUri)
        busy = self.session is not None and self.session.state is not SessionState.Closed
        if busy or self.iserver.sessions() >= self.iserver.sessions_limit:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)

    async def _check_activate(self, requesthdr: Any, params: Any) -> None:
        """Rule (c). Nothing of the session is touched before all of it is verified."""
        session: Session | None = self.session or self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        if session is None or session.auth_token != requesthdr.AuthenticationToken:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if session.certificate != self._certificate():
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        if session.state is SessionState.Created and session.channel is not self:
            raise ServiceError(ua.StatusCodes.BadSecureChannelIdInvalid)
        self._check_signature(session, params)
        name = await self.iserver.identify(session, params.UserIdentityToken)
        if session.proven not in (None, name):
            raise ServiceError(ua.StatusCodes.BadIdentityChangeNotSupported)
        session.proven = name

    def _check_signature(self, session: Session, params: Any) -> None:
        policy = self._connection.security_policy
        try:
            signed = policy.host_certificate + session.nonce
            policy.asymmetric_cryptography.verify(signed, params.ClientSignature.Signature)
        except (InvalidSignature, TypeError) as error:
            raise ServiceError(ua.StatusCodes.BadApplicationSignatureInvalid) from error

    def _check_owner(self, requesthdr: Any, typeid: Any) -> None:
        """Rule (a)."""
        session = self.session
        if session is None or session.auth_token != requesthdr.AuthenticationToken or session.channel is not self:
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if session.state is SessionState.Closed:
            raise ServiceError(ua.StatusCodes.BadSessionClosed)
        if session.state is SessionState.Created and typeid != CLOSE:
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)

    def _should_close_session_on_transport_loss(self) -> bool:
        if self.session is None or self.session.channel is not self:
            return False  # it has moved to another channel
        return bool(super()._should_close_session_on_transport_loss())

    async def forward_publish_response(self, result: Any, requestdata: Any) -> None:
        """Count what is sent."""
        for notification in result.NotificationMessage.NotificationData or []:
            self.iserver.notifications += len(getattr(notification, "MonitoredItems", None) or ())
        await super().forward_publish_response(result, requestdata)


class Connection(OPCUAProtocol):  # type: ignore[misc]
    """One TCP connection."""

    processor: Any
    _buffer: bytes

    def __init__(self, trust: TrustList, **options: Any) -> None:
        """`trust` says which certificates are accepted."""
        super().__init__(**options)
        self.trust = trust

    def connection_made(self, transport: Any) -> None:
        """The library's checks, then our processor in place of its own."""
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = Processor(self.iserver, transport, self.limits, self.trust)
            self.processor.set_policies(self.policies)

    def data_received(self, data: bytes) -> None:
        """What is left is the start of a message: one that says it will be too long is not waited for."""
        super().data_received(data)
        if len(self._buffer) >= 8 and struct.unpack_from("<I", self._buffer, 4)[0] > CHUNK and self.transport:
            log.warning("opcua: closed the connection from %s: a chunk of more than %d bytes", self.peer_name, CHUNK)
            self._buffer = b""
            status = ua.StatusCode(ua.StatusCodes.BadTcpMessageTooLarge)
            self.transport.write(uatcp_to_binary(ua.MessageType.Error, ua.ErrorMessage(status, status.name)))
            self.transport.close()


class Listener(BinaryServer):  # type: ignore[misc]
    """The listening socket."""

    def __init__(self, trust: TrustList, *args: Any) -> None:
        """`trust` says which certificates are accepted."""
        super().__init__(*args)
        self.trust = trust

    def _make_protocol(self) -> Connection:
        return Connection(
            self.trust,
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )


class GuardedServer(Server):  # type: ignore[misc]
    """The library's server with all of the above."""

    def __init__(self, internal: Internal, trust: TrustList, message_limit: int) -> None:
        """`message_limit` in bytes; the library's own default is 100 MB a message."""
        super().__init__(iserver=internal)
        self.trust = trust
        self.limits = TransportLimits(CHUNK, CHUNK, math.ceil(message_limit / CHUNK) + 1, message_limit)

    async def start(self) -> None:
        """Listen. OSError where the address cannot be had."""
        await self._setup_server_nodes()
        await self.iserver.start()
        address = self.endpoint.hostname, self.endpoint.port
        self.bserver = Listener(self.trust, self.iserver, *address, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()
