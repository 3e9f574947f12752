"""Sessions: a token nobody can guess, a proven user, and subscriptions that only their owner touches.

OPC 10000-4 §5.7 (sessions) and §5.14 (subscriptions).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession

from agent.sinks.opcua import users

log = logging.getLogger(__name__)

SHORTEST_INTERVAL_MS, LONGEST_INTERVAL_MS = 100.0, 3_600_000.0
SUBSCRIPTIONS = 200
LOGIN_PENALTY_S = 1.0
LONGEST_PASSWORD = 1024
RSA15 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"  # broken since 1998, and no policy of ours uses it


class Session(InternalSession):  # type: ignore[misc]
    """A session of one client. `channel` is the processor of the secure channel it belongs to now."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """A token nobody can guess takes the place of the library's counter."""
        super().__init__(*args, **options)
        if self.external:
            self.iserver.unregister_external_session(self)
        self.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
        if self.external:
            self.iserver.register_external_session(self)
        self.channel: Any = None
        self.certificate: bytes | None = None
        self.proven: str | None = None  # the user name, once its password was right

    def owned(self) -> set[int]:
        """The ids of this session's subscriptions."""
        subscriptions = self.subscription_service.subscriptions
        return {number for number, one in subscriptions.items() if one.session_id == self.session_id}

    def own(self, subscription: int) -> None:
        """BadSubscriptionIdInvalid for a subscription of somebody else, as for one that does not exist."""
        if subscription not in self.owned():
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)

    async def create_subscription(
        self, params: Any, callback: Callable[..., Any], request_callback: Callable[..., Any] | None = None
    ) -> Any:
        """The interval is clamped; the user is noted, because a subscription may move to another session of his."""
        wanted = params.RequestedPublishingInterval
        params.RequestedPublishingInterval = min(max(wanted, SHORTEST_INTERVAL_MS), LONGEST_INTERVAL_MS)
        result = await super().create_subscription(params, callback, request_callback)
        self.iserver.subscribers[result.SubscriptionId] = self.proven
        return result

    async def create_monitored_items(self, params: Any) -> Any:
        """Only in a subscription of one's own."""
        self.own(params.SubscriptionId)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: Any) -> Any:
        """Only in a subscription of one's own."""
        self.own(params.SubscriptionId)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: Any) -> Any:
        """Only in a subscription of one's own."""
        self.own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: Any) -> Any:
        """Only in a subscription of one's own."""
        self.own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    def modify_subscription(self, params: Any) -> Any:
        """Only one's own."""
        self.own(params.SubscriptionId)
        return super().modify_subscription(params)

    def republish(self, params: Any) -> Any:
        """Only from a subscription of one's own.

        A message that is not kept any more is BadMessageNotAvailable (OPC 10000-4 §5.14.6): the library gives an empty
        one instead, and a client that asks on until it is told never comes back after a restart.
        """
        self.own(params.SubscriptionId)
        message = super().republish(params)
        if message.SequenceNumber != params.RetransmitSequenceNumber:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        return message

    async def set_publishing_mode(self, params: Any) -> Any:
        """Only one's own; nothing is changed if one of them is not."""
        for subscription in params.SubscriptionIds:
            self.own(subscription)
        return await super().set_publishing_mode(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[Any]:
        """Those of others answer as if they did not exist."""
        mine = self.owned()
        done = iter(await super().delete_subscriptions([i for i in ids if i in mine]))
        for i in mine.intersection(ids):
            self.iserver.subscribers.pop(i, None)
        return [next(done) if i in mine else ua.StatusCode(ua.StatusCodes.BadSubscriptionIdInvalid) for i in ids]

    def publish(self, acks: Iterable[Any] | None = None) -> tuple[int, list[Any]]:
        """Acknowledgements count for one's own subscriptions only."""
        mine, acks = self.owned(), list(acks or [])
        if not mine:
            raise ServiceError(ua.StatusCodes.BadNoSubscription)
        done = iter(super().publish([a for a in acks if a.SubscriptionId in mine])[1])
        invalid = ua.StatusCode(ua.StatusCodes.BadSubscriptionIdInvalid)
        return len(mine), [next(done) if a.SubscriptionId in mine else invalid for a in acks]

    async def transfer_subscriptions(self, params: Any, callback: Callable[..., Any]) -> list[Any]:
        """OPC 10000-4 §5.14.7: only between sessions of the same user. Publishing goes on over this channel."""
        subscriptions = self.subscription_service.subscriptions
        wanted = params.SubscriptionIds
        allowed = [i for i in wanted if i in subscriptions and self.iserver.subscribers.get(i) == self.proven]
        params.SubscriptionIds = allowed
        done = iter(await super().transfer_subscriptions(params, callback))
        for i in allowed:
            subscriptions[i].pub_request_callback = self.channel.get_publish_request
        denied = ua.StatusCodes.BadUserAccessDenied
        unknown = ua.StatusCodes.BadSubscriptionIdInvalid
        return [
            next(done)
            if i in allowed
            else ua.TransferResult(StatusCode=ua.StatusCode(denied if i in subscriptions else unknown))
            for i in wanted
        ]


class Proven:
    """The library's user manager: a user whose password was already checked, off the loop, by `identify`."""

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """A plain user: the library's Admin may add nodes over the network, and nobody needs to."""
        return User(role=UserRole.User, name=username) if username else None


class Internal(InternalServer):  # type: ignore[misc]
    """The library's server, with our sessions, our users and tighter limits."""

    def __init__(self, users_file: Path, sessions: int) -> None:
        """`sessions` caps sessions; half as many again may be connecting."""
        super().__init__(user_manager=Proven())
        self.users_file = users_file
        self.sessions_limit = sessions
        self.subscribers: dict[int, str | None] = {}
        self.notifications = 0
        self.refused = 0
        self.allow_remote_admin = False
        self.max_connections = sessions + sessions // 2 + 2
        self.max_pending_activation_seconds = 10.0
        self.max_pending_messages_per_connection = 100
        self.max_subscriptions = SUBSCRIPTIONS
        self.max_monitored_item_queue_size = 1000
        self.supported_tokens = (ua.UserNameIdentityToken,)
        self._login = asyncio.Lock()

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> Session:
        """One of ours."""
        return Session(self, self.aspace, self.subscription_service, name, user=user or User(), external=external)

    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self._external_sessions)

    async def identify(self, session: Session, token: Any) -> str:
        """The name of the user whose name and password a token carries; anything else is refused.

        scrypt takes its time in a thread, one login after the other: guessing is slow and costs one core at most.
        """
        if not isinstance(token, ua.UserNameIdentityToken) or token.EncryptionAlgorithm == RSA15:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
        try:
            name, password = super().decrypt_user_token(session, token)
        except (ValueError, TypeError, IndexError, struct.error) as error:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid) from error
        async with self._login:
            if not await self._verify(name or "", password or ""):
                self.refused += 1
                log.warning("opcua: refused user %r at %s: wrong name or password", name, session.name)
                await asyncio.sleep(LOGIN_PENALTY_S)
                raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        return str(name)

    async def _verify(self, name: str, password: str) -> bool:
        if len(password) > LONGEST_PASSWORD:
            return False
        try:
            return await asyncio.to_thread(users.verify, self.users_file, name, password) is not None
        except (OSError, ValueError) as error:
            log.error("opcua: nobody can log in: %s", error)
            return False

    def decrypt_user_token(self, isession: Session, token: Any) -> tuple[str | None, str]:
        """What the library asks at activation: the name that `identify` has proven."""
        return isession.proven, ""
