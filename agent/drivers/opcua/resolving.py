"""From how a node is written to its node id on the server as it is now: namespaces, browse paths, nodes not there."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import numpy as np
from asyncua import ua

from agent.core import quality
from agent.core.nouns import U4
from agent.drivers.opcua.items import Rows
from agent.drivers.opcua.node import NodeRef, PathRef, Ref, found_in
from agent.drivers.opcua.services import Session, exactly
from agent.runtime import clock

ALL_OF_IT = 0xFFFF_FFFF
# A node that is not there, or not for us: BadNodeIdInvalid, BadNodeIdUnknown, BadAttributeIdInvalid, BadNotReadable,
# BadUserAccessDenied. It is asked for again, slowly.
REFUSALS = np.array([0x8033_0000, 0x8034_0000, 0x8035_0000, 0x803A_0000, 0x801F_0000], np.uint32)
CODE = np.uint32(0xFFFF_0000)


async def resolve(session: Session, refs: Sequence[Ref], namespaces: Sequence[str]) -> list[ua.NodeId | None]:
    """The node ids on this server; None where it has no such namespace or nothing lies at the end of the path. OSError.

    Of several nodes at the end of a path the first is taken.
    """
    found = [_node(ref, namespaces) if isinstance(ref, NodeRef) else None for ref in refs]
    paths = [(n, path) for n, ref in enumerate(refs) if isinstance(ref, PathRef) and (path := _path(ref, namespaces))]

    async def part(some: Sequence[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        request = ua.TranslateBrowsePathsToNodeIdsRequest()
        request.Parameters.BrowsePaths = list(some)
        answer = await session.call(request, ua.TranslateBrowsePathsToNodeIdsResponse)
        return exactly(answer.Results, len(some))

    results = await session.batched("translate", [path for _, path in paths], part)
    for (n, _), result in zip(paths, results, strict=True):
        found[n] = next((t.TargetId for t in result.Targets or () if t.RemainingPathIndex == ALL_OF_IT), None)
    return found


def _node(ref: NodeRef, namespaces: Sequence[str]) -> ua.NodeId | None:
    index = ref.index_in(namespaces)
    return None if index is None else ua.NodeId(ref.identifier, index)


def _path(ref: PathRef, namespaces: Sequence[str]) -> ua.BrowsePath | None:
    start, elements = _node(ref.start, namespaces), list[ua.RelativePathElement]()
    for step in ref.steps:
        index = found_in(namespaces, step.index, step.uri)
        if index is None:
            return None
        hierarchical = ua.NodeId(int(ua.ObjectIds.HierarchicalReferences))
        elements.append(ua.RelativePathElement(hierarchical, False, True, ua.QualifiedName(step.name, index)))
    return None if start is None else ua.BrowsePath(start, ua.RelativePath(elements))


class Nodes:
    """Where m items are on this server. node: NodeId or None; status u4[m] of those refused; refused bool[m]."""

    def __init__(self, session: Session, refs: Sequence[Ref]) -> None:
        """None was looked for yet."""
        self._session, self._refs = session, list(refs)
        self._retry_s = session.config.retry_refused_s
        self._namespaces: list[str] = []
        self._retry_ns = 0
        self.node: list[ua.NodeId | None] = [None] * len(self._refs)
        self.status: U4 = np.full(len(self._refs), quality.BAD_NODE_ID_UNKNOWN, np.uint32)
        self.refused = np.ones(len(self._refs), np.bool_)

    async def find(self) -> None:
        """Look for all. OSError."""
        self._namespaces = await self._session.namespaces()
        await self._look(np.arange(len(self._refs)))

    async def find_again(self, within_s: float) -> bool:
        """Once in a while look again for those that were refused; whether some may be there now. OSError."""
        if clock.now_ns() < self._retry_ns or not self.refused.any():
            return False
        with anyio.fail_after(within_s):
            if await self._session.namespaces() != self._namespaces:
                raise ConnectionError("the server changed its namespaces while we were connected")
            await self._look(np.flatnonzero(self.refused))
        return True

    async def _look(self, which: Rows) -> None:
        self._retry_ns = clock.now_ns() + int(self._retry_s * 1e9)
        found = await resolve(self._session, [self._refs[i] for i in which], self._namespaces)
        for i, node in zip(which, found, strict=True):
            self.node[i] = node
            self.refused[i] = node is None
            self.status[i] = quality.BAD_NODE_ID_UNKNOWN

    def refuse(self, items: Rows, status: U4) -> Rows:
        """Take note of those that the server refused with a status (u4[k]); which of the items they are."""
        gone = np.isin(status & CODE, REFUSALS)
        self.refused[items[gone]] = True
        self.status[items[gone]] = status[gone]
        return np.asarray(items[gone], np.intp)
