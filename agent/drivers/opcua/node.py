"""How a node is written: `ns=2;s=Pump.Speed`, `nsu=http://maker/plc;i=1001`, `i=2258`. No OPC UA library needed."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass

FORM = re.compile(r"(?:ns=(?P<index>\d{1,5});|nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<identifier>.+)", re.DOTALL)
EXPECTED = "expected ns=2;s=Name, nsu=http://maker/plc;s=Name, ns=2;i=1001, or g= (GUID) or b= (base64) in place of s="


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node of some server: namespace by URI (else by index), and the identifier."""

    index: int
    uri: str
    identifier: int | str | bytes | uuid.UUID

    def index_in(self, namespaces: list[str]) -> int | None:
        """The namespace index on a server with this namespace array; None where it has no such namespace."""
        if not self.uri:
            return self.index if self.index < len(namespaces) else None
        return namespaces.index(self.uri) if self.uri in namespaces else None


def parse(text: str) -> NodeRef:
    """The node that a text names. ValueError says what is wrong and what was expected."""
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"address {text!r} is not a node id, {EXPECTED}")
    try:
        identifier = _identifier(match["kind"], match["identifier"])
    except (ValueError, binascii.Error) as error:
        raise ValueError(
            f"address {text!r}: {match['identifier']!r} is no identifier of kind {match['kind']}="
        ) from error
    return NodeRef(int(match["index"] or 0), match["uri"] or "", identifier)


def _identifier(kind: str, text: str) -> int | str | bytes | uuid.UUID:
    if kind == "s":
        return text
    if kind == "g":
        return uuid.UUID(text)
    if kind == "b":
        return base64.b64decode(text, validate=True)
    number = int(text)
    if not 0 <= number < 2**32:
        raise ValueError(text)
    return number
