"""The services of one open session: the server's limits, reading, writing, browsing, in batches that the server takes.

A call that is too much for the server is halved, and its size remembered until the next connect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from agent.core import quality
from agent.drivers.opcua.binary import messages
from agent.drivers.opcua.binary.builtin import NodeId, T
from agent.drivers.opcua.binary.cursor import Cursor
from agent.drivers.opcua.binary.messages import OTHER, Samples
from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import NoAnswerError, ServiceError, decoding, name_of, translated
from agent.runtime import clock, meters

Ids = ua.ObjectIds
LIMITS = {
    "read": Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "write": Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    "monitor": Ids.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "translate": Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    "browse": Ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "subscription": Ids.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
    "subscriptions": Ids.Server_ServerCapabilities_MaxSubscriptionsPerSession,
}
# Limits of one call; the last two are of a session, and have none of ours.
LARGEST = {"read": 1000, "write": 1000, "monitor": 1000, "translate": 500, "browse": 200}
UNLIMITED = 2**31
REFERENCES_AT_ONCE = 1000  # of one node; the rest comes over a continuation point
STATE = ua.NodeId(int(Ids.Server_ServerStatus_State))
MIN_SAMPLE_RATE = ua.NodeId(int(Ids.Server_ServerCapabilities_MinSupportedSampleRate))
# BadEncodingLimitsExceeded, BadTooManyOperations, BadRequestTooLarge, BadResponseTooLarge
TOO_MUCH = frozenset({0x8008_0000, 0x8010_0000, 0x80B8_0000, 0x80B9_0000})

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class Session:
    """An open session. `limits` are what the server takes in one call; `fastest_s` is how fast it samples at best."""

    def __init__(self, client: Client, config: Config) -> None:
        """Wrap a client that is connected."""
        self.client = client
        self.config = config
        self.limits = {name: LARGEST.get(name, UNLIMITED) for name in LIMITS}
        self.fastest_s = 0.0

    async def learn_limits(self) -> None:
        """Ask the server how much it takes in one call; 0 or nothing means no limit of its own."""
        nodes = [*(ua.NodeId(int(i)) for i in LIMITS.values()), MIN_SAMPLE_RATE]
        found = (await self.read(nodes)).number
        chosen = self.config.chosen_limits()
        for name, number in zip(LIMITS, found, strict=False):
            most = min(LARGEST.get(name, UNLIMITED), int(number) if number >= 1 else UNLIMITED)
            self.limits[name] = chosen.get(name) or most
        self.fastest_s = float(found[-1]) / 1000 if found[-1] > 0 else 0.0

    async def namespaces(self) -> list[str]:
        """The server's namespace array."""
        found = await self.read([ua.NodeId(int(Ids.Server_NamespaceArray))])
        array = found.others.get(0)
        return [str(uri) for uri in array.value] if array is not None and array.type == T.STRING else []

    async def ask(self, request: Any, expected: int, timeout_s: float | None = None) -> Cursor:
        """Send a request; its answer, of the type `expected`, after the header. OSError; ServiceError: all is refused.

        Without `timeout_s` the time is the connection's; 0: without end.
        """
        with translated(type(request).__name__.removesuffix("Request")), decoding():
            answer = await self._answer(request, timeout_s)
            cursor = Cursor(answer.read(len(answer)))
            result = messages.service_result(cursor, expected)
            if not quality.is_good(result):
                raise ServiceError(name_of(result), result)
        return cursor

    async def call(self, request: Any, response: type[Any]) -> Any:
        """Send a request; its answer as the library's class of it. OSError."""
        what = f"{self.config.endpoint} {type(request).__name__.removesuffix('Request')}"
        with self.counted(), translated(what), decoding():
            found = struct_from_binary(response, await self._answer(request))
            if found.TypeId != response().TypeId:
                raise NoAnswerError(f"a response of type {found.TypeId}")
            found.ResponseHeader.ServiceResult.check()
        return found

    async def _answer(self, request: Any, timeout_s: float | None = None) -> Any:
        protocol = self.client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("the connection is closed")
        return await protocol.send_request(request, timeout_s)

    async def read(self, nodes: Sequence[ua.NodeId], attribute: int = ua.AttributeIds.Value) -> Samples:
        """The newest of an attribute of each node, in as few calls as the server allows. OSError."""

        async def part(some: Sequence[ua.NodeId]) -> list[Samples]:
            request = ua.ReadRequest()
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=n, AttributeId=attribute) for n in some]
            with self.counted(), translated(self.config.endpoint):
                cursor = await self.ask(request, messages.READ)
                with decoding():
                    found = messages.read_results(cursor)
                if len(found.status) != len(some):
                    raise NoAnswerError(f"{len(found.status)} values came for {len(some)} nodes")
            return [found]

        return messages.joined(await self.batched("read", nodes, part))

    async def write(self, node: ua.NodeId, value: ua.Variant, index_range: str | None = None) -> int:
        """Write one value without stamps or status of ours; the server's verdict. OSError."""
        request = ua.WriteRequest()
        wanted = ua.WriteValue(NodeId=node, AttributeId=ua.AttributeIds.Value, IndexRange=index_range)
        wanted.Value = ua.DataValue(Value=value, StatusCode=None)
        request.Parameters.NodesToWrite = [wanted]
        (found,) = exactly((await self.call(request, ua.WriteResponse)).Results, 1)
        return int(found.value)

    async def browse(self, nodes: Sequence[ua.NodeId], like: ua.BrowseDescription) -> list[list[Any]]:
        """All references of each node that are as `like` says; none of a node that is not there. OSError."""

        async def part(some: Sequence[ua.NodeId]) -> list[list[Any]]:
            request = ua.BrowseRequest()
            request.Parameters.RequestedMaxReferencesPerNode = REFERENCES_AT_ONCE
            fields = (like.BrowseDirection, like.ReferenceTypeId, True, like.NodeClassMask, like.ResultMask)
            request.Parameters.NodesToBrowse = [ua.BrowseDescription(n, *fields) for n in some]
            answer = await self.call(request, ua.BrowseResponse)
            return [await self._to_the_end(found) for found in exactly(answer.Results, len(some))]

        return await self.batched("browse", nodes, part)

    async def _to_the_end(self, found: ua.BrowseResult) -> list[Any]:
        references = list(found.References or ())
        while found.ContinuationPoint:
            request = ua.BrowseNextRequest()
            request.Parameters.ReleaseContinuationPoints = False
            request.Parameters.ContinuationPoints = [found.ContinuationPoint]
            answer = await self.call(request, ua.BrowseNextResponse)
            (found,) = exactly(answer.Parameters.Results, 1)
            references += list(found.References or ())
        return references

    async def batched(
        self, limit: str, asked: Sequence[Asked], part: Callable[[Sequence[Asked]], Awaitable[list[Found]]]
    ) -> list[Found]:
        """What `part` finds of all that is asked, as many at once as the server takes. OSError."""
        found, at = list[Found](), 0
        while at < len(asked):
            some = asked[at : at + self.limits[limit]]
            try:
                found += await part(some)
            except ServiceError as error:
                if error.code not in TOO_MUCH or len(some) == 1:
                    raise
                self.limits[limit] = len(some) // 2
                continue
            at += len(some)
        return found

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around one request and its answer: requests, errors by class and the round trip are counted."""
        counts, source = meters.current(), self.config.id
        counts.add(f"{source}/requests")
        asked_ns = clock.now_ns()
        try:
            yield
        except OSError as error:
            counts.add(f"{source}/{_class_of(error)}")
            counts.add(f"{source}/errors")
            raise
        counts.set(f"{source}/rtt_s", (clock.now_ns() - asked_ns) * 1e-9)


def exactly(found: Sequence[Found] | None, count: int) -> list[Found]:
    """The results of a call, one for each thing that was asked; NoAnswerError where they are not so many."""
    if len(found or ()) != count:
        raise NoAnswerError(f"{len(found or ())} results came for {count} that were asked")
    return list(found or ())


def _class_of(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeouts"
    if isinstance(error, NoAnswerError):
        return "malformed"
    return "refused" if isinstance(error, ServiceError) else "lost"


def theirs(node: NodeId) -> ua.NodeId:
    """A NodeId as the library has it."""
    return ua.NodeId(node.identifier, node.index)


def ours(node: ua.NodeId) -> NodeId:
    """A NodeId of the library."""
    return NodeId(int(node.NamespaceIndex), node.Identifier)


def is_other(samples: Samples, row: int, kind: int) -> bool:
    """Whether the value of a row is a single one of that builtin type, among those that are no plain numbers."""
    return bool(samples.kind[row] == OTHER) and samples.others[row].type == kind and samples.others[row].dims is None
