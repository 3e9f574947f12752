"""The services of one open session: the server's limits, reading and writing in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from asyncua import Client, ua

from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.node import NodeRef
from agent.runtime import clock, meters

MAX_NODES_PER_READ = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead
MAX_ITEMS_PER_CALL = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
LARGEST = 1000


class Session:
    """An open session. `read_limit` and `item_limit` are what the server takes in one call."""

    def __init__(self, client: Client, config: Config) -> None:
        """Wrap a client that is connected."""
        self.client = client
        self.config = config
        self.read_limit = LARGEST
        self.item_limit = LARGEST

    async def learn_limits(self) -> None:
        """Ask the server how many nodes it takes in one call; 0 or nothing means no limit of its own."""
        nodes = [ua.NodeId(int(i)) for i in (MAX_NODES_PER_READ, MAX_ITEMS_PER_CALL)]
        found = [v.Value.Value if v.Value is not None else None for v in await self.read(nodes)]
        self.read_limit, self.item_limit = (min(LARGEST, n) if isinstance(n, int) and n > 0 else LARGEST for n in found)

    async def namespaces(self) -> list[str]:
        """The server's namespace array."""
        (value,) = await self.read([ua.NodeId(int(ua.ObjectIds.Server_NamespaceArray))])
        found = value.Value.Value if value.Value is not None else None
        return [str(uri) for uri in found] if isinstance(found, list) else []

    async def resolve(self, refs: Sequence[NodeRef | None]) -> list[ua.NodeId | None]:
        """The node ids on this server as it is now; None where it has no such namespace."""
        namespaces = await self.namespaces()
        indexes = [None if ref is None else ref.index_in(namespaces) for ref in refs]
        return [
            None if ref is None or index is None else ua.NodeId(ref.identifier, index)
            for ref, index in zip(refs, indexes, strict=True)
        ]

    async def read(self, nodes: Sequence[ua.NodeId]) -> list[ua.DataValue]:
        """The newest value of each node, in as few calls as the server allows. OSError."""
        values: list[ua.DataValue] = []
        for start in range(0, len(nodes), self.read_limit):
            part = list(nodes[start : start + self.read_limit])
            with self._counted("read"):
                values += await self.client.uaclient.session.read_attributes(part, ua.AttributeIds.Value)
        if len(values) != len(nodes):
            raise ConnectionError(f"{self.config.endpoint} read: {len(values)} values came for {len(nodes)} nodes")
        return values

    async def write(self, node: ua.NodeId, value: ua.Variant) -> ua.StatusCode:
        """Write one value without stamps or status of ours; the server's verdict. OSError."""
        with self._counted("write"):
            found = await self.client.uaclient.session.write_attributes(
                [node], [ua.DataValue(Value=value, StatusCode=None)], ua.AttributeIds.Value
            )
        return found[0]

    @contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        counts, done = meters.current(), False
        counts.add(f"{self.config.id}/requests")
        asked_ns = clock.now_ns()
        try:
            with translated(f"{self.config.endpoint} {what}"):
                yield
            done = True
        finally:
            if not done:
                counts.add(f"{self.config.id}/errors")
        counts.set(f"{self.config.id}/rtt_s", (clock.now_ns() - asked_ns) * 1e-9)
