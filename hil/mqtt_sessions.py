"""What amqtt 0.12 does otherwise than MQTT 3.1.1 with sessions of unnamed users, put right for the demo's broker."""

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class EverybodyIsSomebody(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everyone in without marking the session anonymous: amqtt drops what an anonymous session misses offline."""

    async def authenticate(self, *, session: Session) -> bool:
        """True."""
        return True


class LoopbackBroker(Broker):  # type: ignore[misc]
    """A broker that sends retained messages to their subscribers only."""

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        # At each connect amqtt walks the subscriptions of all clients and sends the new one what they retain.
        owners = {owner.client_id for owner, _ in self._subscriptions.get(subscription[0], [])}
        if session.client_id in owners:
            await super()._publish_retained_messages_for_subscription(subscription, session)
