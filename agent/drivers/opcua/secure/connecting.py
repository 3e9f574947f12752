"""A session on a secured channel: asyncua's client, with what OPC 10000-4 asks of a client and the library leaves out.

the server's certificate is judged before anything is sent to it          §6.1.3
the endpoints told in the session are those told before (no downgrade)    §5.7.2
nonces have their length and never repeat                                 §5.6.2, §5.7.2, §5.7.3
a login that the server takes, and no password in the clear               §7.40
a session whose connection broke is closed before the next is opened      §5.7.3
the keys are renewed in time, and a failure to do so is an error          §5.6.2
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import anyio.lowlevel
from anyio.to_thread import run_sync
from asyncua import Client, ua
from asyncua.common.shortcuts import Shortcuts
from asyncua.common.utils import create_nonce
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from agent.drivers.opcua.errors import NO_ANSWER, decoding
from agent.drivers.opcua.secure import endpoints, identity, refusals, trust
from agent.drivers.opcua.secure.endpoints import SUITES, policy_name
from agent.drivers.opcua.secure.past import Left, Past
from agent.drivers.opcua.secure.security import DEPRECATED, Security
from agent.drivers.opcua.secure.wire import Wire
from agent.runtime.pki import making
from agent.runtime.pki.judging import Expected

log = logging.getLogger(__name__)

NONCE_BYTES = 32  # of a session, at least
NEVER_S = 86_400.0  # the library's own health check: ours reads what we need anyway
GOODBYE_S = 1.0


class LaterError(ConnectionError):
    """The server does not want us now, and trying again at once makes it worse."""


@dataclass(frozen=True, slots=True)
class Secured:
    """The certificates of a secured channel: ours, with the stamp of its files; the server's with its chain."""

    own: making.Own
    own_stamp: trust.Stamp
    server: tuple[x509.Certificate, ...]
    expected: Expected


class Link(Client):  # type: ignore[misc]
    """One connection to a server. `secured` has the certificates of both, None without security."""

    def __init__(self, config: Security) -> None:
        """Nothing is opened yet."""
        super().__init__(config.url, timeout=config.connect_timeout_s, watchdog_intervall=NEVER_S)
        self.uaclient = Wire(config.connect_timeout_s)
        self.uaclient.pre_request_hook = self._wait_until_ready
        self.nodes = Shortcuts(self.uaclient.session)
        self.config = config
        self.session_timeout = int(config.session_timeout_s * 1000)
        self.name = self.description = "edgetwin"
        self.application_uri = trust.subject().uri
        self.secured: Secured | None = None
        self._discovered: list[ua.EndpointDescription] = []
        self._token: ua.UserTokenPolicy | None = None
        self._own_name = ""
        self._nonces: set[bytes] = set()

    async def enter(self, past: Past) -> None:
        """Discover, secure, connect and log in. OSError says in words what is in the way."""
        with _explained(lambda: self._own_name):
            who = await run_sync(identity.read, self.config)
            if self.config.policy != "none":
                await self._secure()
            await self.connect_socket()
            await self.send_hello()
            await self.open_secure_channel()
            if past.left is not None:
                left, past.left = past.left, None
                await self._close_left(left, who)
            await self._create()
            await self._activate(who)
        past.welcome()

    async def _secure(self) -> None:
        """Choose an endpoint, judge its certificate, and take its policy with our certificate."""
        stamp = await run_sync(trust.stamp, self.config)
        own = await run_sync(trust.ours, self.config)
        self.application_uri, self._own_name = own.uri, trust.named(own)
        with decoding():
            self._discovered = await self.connect_and_get_server_endpoints()
        endpoint = endpoints.chosen(self._discovered, self.config)
        name = policy_name(endpoint.SecurityPolicyUri)
        suite = SUITES[name]
        if name in DEPRECATED:
            log.warning(
                "%s: SECURITY %s IS BROKEN AND DEPRECATED: use another as soon as you can", self.config.id, name
            )
        if not suite.smallest_key <= own.key.key_size <= suite.largest_key:
            sizes = f"{suite.smallest_key} to {suite.largest_key} bits"
            raise ConnectionError(f"our key has {own.key.key_size} bits, {name} takes {sizes}: see key_bits")
        uri = endpoint.Server.ApplicationUri or ""
        expected = trust.expected(self.config, uri, (suite.smallest_key, suite.largest_key), suite.sha1)
        server = await run_sync(trust.accept, endpoint.ServerCertificate, self.config, expected)
        self.security_policy = suite.kind(
            server[0], own.certificate, own.key, endpoint.SecurityMode, host_cert_chain=list(own.chain[1:])
        )
        self.uaclient.set_security(self.security_policy)
        self.secured = Secured(own, stamp, tuple(server), expected)

    async def open_secure_channel(self, renew: bool = False) -> None:
        """Open the channel, or make its keys anew. The server may shorten the lifetime asked for."""
        kinds = ua.SecurityTokenRequestType
        asked_ms = int(self.config.channel_lifetime_s * 1000)
        length = self.security_policy.secure_channel_nonce_length
        params = ua.OpenSecureChannelParameters(
            ClientProtocolVersion=0,
            RequestType=kinds.Renew if renew else kinds.Issue,
            SecurityMode=self.security_policy.Mode,
            RequestedLifetime=asked_ms,
            ClientNonce=create_nonce(length),
        )
        try:
            result = await self.uaclient.open_secure_channel(params)
        except AssertionError as error:  # the library's word for an answer that is none
            raise ConnectionError("the server refused the secure channel, or its answer cannot be read") from error
        self._fresh(result.ServerNonce, length)
        self.secure_channel_timeout = result.SecurityToken.RevisedLifetime or asked_ms
        if renew:
            self.uaclient.revolve_security_token()

    def _fresh(self, nonce: bytes | None, length: int) -> None:
        """A nonce that is short or was there before lets an old answer pass for a new one."""
        if length and (len(nonce or b"") < length or nonce in self._nonces):
            raise ConnectionError("the server's nonce is too short or not fresh (BadNonceInvalid)")
        self._nonces.add(nonce or b"")

    async def _create(self) -> None:
        """Create the session, and see that what the server says in it is what it said before."""
        with decoding():
            response = await self.create_session()
        if self.secured:
            self._compare(response.ServerEndpoints or [])
        policy = self.security_policy
        endpoint = self.find_endpoint(response.ServerEndpoints or [], policy.Mode, policy.URI)
        self._token = identity.token_policy(endpoint.UserIdentityTokens, policy.URI, policy.Mode, self.config)
        encrypts = identity.encrypts(self._token)
        self._fresh(response.ServerNonce, NONCE_BYTES if self.secured or encrypts else 0)
        if encrypts and not self.secured:
            suite = SUITES[policy_name(self._token.SecurityPolicyUri)]
            uri = endpoint.Server.ApplicationUri or ""
            wanted = trust.expected(self.config, uri, (suite.smallest_key, suite.largest_key), suite.sha1)
            await run_sync(trust.accept, response.ServerCertificate or b"", self.config, wanted)

    def _compare(self, returned: list[ua.EndpointDescription]) -> None:
        found = endpoints.differences(self._discovered, returned)
        if not found:
            return
        text = f"the server offers other endpoints in the session than before: {'; '.join(found)}"
        if "endpoints" not in self.config.ignore:
            raise ConnectionError(f"{text}: somebody may have changed them on the way (BadSecurityChecksFailed)")
        log.warning("%s: ignored: %s", self.config.id, text)

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """What the library asks: the token policy that was chosen."""
        return self._token if self._token is not None else super().server_policy(token_type)

    async def _activate(self, who: identity.Identity) -> None:
        self.user_certificate, self.user_private_key = who.certificate, who.key
        try:
            result = await self.activate_session(who.user or None, who.password, who.certificate)
        except ValueError as error:
            raise ConnectionError(f"the login cannot be encrypted (is the password too long?): {error}") from error
        self._fresh(result.ServerNonce, NONCE_BYTES if self.secured else 0)

    async def _close_left(self, left: Left, who: identity.Identity) -> None:
        """Take the session of a broken connection over to this channel and close it; if it is gone, well."""
        self._token, self._server_nonce = left.policy, left.nonce
        if not self.secured:
            self.security_policy.peer_certificate = left.server
        self.uaclient.session.restore_authentication_token(left.token)
        try:
            await self._activate(who)
            await self.uaclient.close_session(True)
            log.info("%s: closed the session that the broken connection had left", self.config.id)
        except ua.UaStatusCodeError as error:
            log.debug("%s: the session before is gone: %s", self.config.id, error)
        finally:
            self.uaclient.session.reset_authentication_token()
            self._token, self._server_nonce = None, b""
            if not self.secured:
                self.security_policy.peer_certificate = b""

    async def leave(self, polite: bool) -> Left | None:
        """Close session, channel and socket; what is left of a session whose end the server did not confirm.

        Not `polite`: the server does not answer, so it is not asked.
        """
        left = self._left()
        with anyio.CancelScope(shield=True):
            protocol = self.uaclient.protocol
            if not polite and protocol is not None and protocol.transport is not None:
                protocol.transport.abort()
                await anyio.lowlevel.checkpoint()
            heard = protocol is not None and not protocol.is_closed
            with anyio.move_on_after(GOODBYE_S):
                try:
                    await self.close_session()
                    left = None if heard else left
                    await self.close_secure_channel()
                except ua.UaStatusCodeError:
                    left = None
                except (OSError, ua.UaError, *NO_ANSWER):
                    pass
            if self.uaclient.protocol is not None:
                self.disconnect_socket()
            await anyio.lowlevel.checkpoint()
        return left

    def _left(self) -> Left | None:
        if not self.uaclient.has_session or self._token is None:
            return None
        token = self.uaclient.session.authentication_token
        return Left(token, self._server_nonce or b"", self._token, self.security_policy.peer_certificate)


@contextmanager
def _explained(own_name: Callable[[], str]) -> Iterator[None]:
    """The library's errors as ConnectionError, in words for whoever has to do something about it."""
    try:
        yield
    except ua.UaStatusCodeError as error:
        status = ua.StatusCode(error.code).name
        kind = LaterError if status in refusals.LATER else ConnectionError
        raise kind(refusals.words(status, own_name())) from error
    except InvalidSignature as error:
        text = "the server cannot prove that its certificate is its own (BadApplicationSignatureInvalid)"
        raise ConnectionError(text) from error
    except ua.UaError as error:
        raise ConnectionError(str(error)) from error
