"""The definitions of a server's structures, read from it when a value of such a type first comes.

An encoding leads to its data type (inverse HasEncoding), a data type has its DataTypeDefinition, and its fields name
further data types; one without definition is a subtype of a builtin type, found by inverse HasSubtype.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import anyio
from asyncua import ua

from agent.drivers.opcua.binary.builtin import Extension, MalformedError, NodeId, T, Variant
from agent.drivers.opcua.binary.messages import Samples
from agent.drivers.opcua.binary.structures import Definition, Types, definition_of
from agent.drivers.opcua.services import Session, is_other, ours, theirs

log = logging.getLogger(__name__)

STRUCTURE_DEFINITION = NodeId(0, 122)
# i=1 to i=25 are the builtin types; a field of an abstract number is sent as a Variant, an enumeration as Int32.
BUILTINS = {NodeId(0, int(kind)): int(kind) for kind in T if kind != T.NULL}
BUILTINS |= {NodeId(0, 26): T.VARIANT, NodeId(0, 27): T.VARIANT, NodeId(0, 28): T.VARIANT, NodeId(0, 29): T.INT32}


class ServerTypes:
    """What was learnt of one server's types in this connection."""

    def __init__(self, session: Session) -> None:
        """Know the builtin types."""
        self._session = session
        self._structures: dict[NodeId, Definition] = {}
        self._builtins: dict[NodeId, int] = dict(BUILTINS)
        self._by_encoding: dict[NodeId, NodeId] = {}
        self._hopeless = set[NodeId]()
        self._one_at_a_time = anyio.Lock()
        self.known = Types(self._structures, self._builtins, self._by_encoding)

    async def learn(self, samples: Iterable[Samples]) -> None:
        """Read the definitions of all structures in these values that are not known yet. OSError."""
        wanted = {e for some in samples for v in some.others.values() for e in _encodings(v)} | self.known.missed
        wanted = {e for e in wanted if e not in self._hopeless and not self.known.knows(e)}
        if not wanted:
            return
        async with self._one_at_a_time:
            new = [e for e in wanted if not self.known.knows(e)]
            with anyio.fail_after(self._session.config.connect_timeout_s):
                await self._learn(new)
        for encoding in new:
            if not self.known.knows(encoding):
                self._hopeless.add(encoding)
                log.warning("%s: %s", self._session.config.id, _hopeless(encoding))

    async def _learn(self, encodings: list[NodeId]) -> None:
        types = await self._over(encodings, ua.ObjectIds.HasEncoding)
        for encoding, data_type in zip(encodings, types, strict=True):
            # Some servers send the data type itself in the place of its encoding.
            self._by_encoding[encoding] = data_type or encoding
        fields = {self._by_encoding[e] for e in encodings}
        while fields:
            unknown = [t for t in fields if t not in self._structures and t not in self._builtins]
            fields = {f.data_type for t in await self._define(unknown) for f in self._structures[t].fields}
            fields = {t for t in fields if t not in self._structures and t not in self._builtins}

    async def _define(self, data_types: list[NodeId]) -> list[NodeId]:
        """Find out what these are; those that are structures. Nothing is kept of one that cannot be found out."""
        found = await self._session.read([theirs(t) for t in data_types], ua.AttributeIds.DataTypeDefinition)
        structures, others = list[NodeId](), list[NodeId]()
        for row, data_type in enumerate(data_types):
            (structures if self._is_structure(found, row, data_type) else others).append(data_type)
        await self._simple(others)
        return structures

    def _is_structure(self, found: Samples, row: int, data_type: NodeId) -> bool:
        if not is_other(found, row, T.EXTENSION):
            return False
        content: Extension = found.others[row].value
        if content.encoding != STRUCTURE_DEFINITION or content.body is None:
            return False
        try:
            definition = definition_of(content.body)
        except MalformedError as error:
            log.warning("%s: the definition of %s cannot be read: %s", self._session.config.id, data_type, error)
            return False
        self._structures[data_type] = definition
        return True

    async def _simple(self, data_types: list[NodeId]) -> None:
        """The builtin type that each of these is a subtype of."""
        chains = {t: [t] for t in data_types}
        while chains:
            above = await self._over([chain[-1] for chain in chains.values()], ua.ObjectIds.HasSubtype)
            for (data_type, chain), parent in zip(list(chains.items()), above, strict=True):
                if parent is None or parent in chain:
                    del chains[data_type]
                elif parent in self._builtins:
                    self._builtins |= dict.fromkeys(chain, self._builtins[parent])
                    del chains[data_type]
                else:
                    chain.append(parent)

    async def _over(self, nodes: list[NodeId], reference: int) -> list[NodeId | None]:
        """The node at the other end of an inverse reference of each, None where there is none."""
        like = ua.BrowseDescription(
            BrowseDirection=ua.BrowseDirection.Inverse, ReferenceTypeId=ua.NodeId(int(reference)), ResultMask=0
        )
        found = await self._session.browse([theirs(node) for node in nodes], like)
        return [ours(references[0].NodeId) if references else None for references in found]


def _encodings(variant: Variant) -> Iterable[NodeId]:
    content = variant.value if variant.dims is not None else [variant.value]
    for value in content:
        if isinstance(value, Extension):
            yield value.encoding
        elif isinstance(value, Variant):
            yield from _encodings(value)


def _hopeless(encoding: NodeId) -> str:
    return (
        f"the server tells no definition of the structure encoded as {encoding} (DataTypeDefinition, OPC UA 1.04), "
        "so its tags are BadTypeMismatch"
    )
