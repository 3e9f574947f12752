"""How a value of a server is named. No OPC UA library needed.

    ns=2;s=Pump.Speed   nsu=http://maker/plc;i=1001   i=2258      a node id
    path:/Objects/2:Plant/2:Pump/{http://maker/plc}Speed          browse names, from the root
    path:2:Plant/2:Pump/2:Speed                                   from the Objects folder
    path:ns=2;s=Pump/2:Speed                                      from a node
    ns=2;s=Motor#Status.Speed   ns=2;s=Samples#[3]                a part of the value (members.py)

`##` stands for a `#` of the name itself. In a path `&` before a character takes it as it is (OPC 10000-4 A.2).
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from agent.drivers.opcua import members
from agent.drivers.opcua.members import Member

FORM = re.compile(r"(?:ns=(?P<index>\d{1,5});|nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<identifier>.+)", re.DOTALL)
EXPECTED = "expected ns=2;s=Name, nsu=http://maker/plc;s=Name, ns=2;i=1001, or g= (GUID) or b= (base64) in place of s="
PATH = "path:"
STEP = re.compile(r"(?:(?P<index>\d{1,5}):|\{(?P<uri>[^}]+)\})?(?P<name>(?:&.|[^&/])+)", re.DOTALL)
EXPECTED_PATH = "expected path:/Objects/2:Plant/2:Pump or {http://maker/plc}Pump in place of 2:Pump"


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node of some server: namespace by URI (else by index), and the identifier."""

    index: int
    uri: str
    identifier: int | str | bytes | uuid.UUID

    def index_in(self, namespaces: Sequence[str]) -> int | None:
        """The namespace index on a server with this namespace array; None where it has no such namespace."""
        return found_in(namespaces, self.index, self.uri)


@dataclass(frozen=True, slots=True)
class Step:
    """One browse name: namespace by URI (else by index), and the name."""

    index: int
    uri: str
    name: str


@dataclass(frozen=True, slots=True)
class PathRef:
    """The node that is reached from `start` over hierarchical references."""

    start: NodeRef
    steps: tuple[Step, ...]


Ref = NodeRef | PathRef
ROOT, OBJECTS = NodeRef(0, "", 84), NodeRef(0, "", 85)


@dataclass(frozen=True, slots=True)
class Address:
    """A node, and which part of its value (empty: all of it)."""

    node: Ref
    member: Member = ()


def found_in(namespaces: Sequence[str], index: int, uri: str) -> int | None:
    """The index of a namespace given by URI, else by index; None where the server has none such."""
    if not uri:
        return index if index < len(namespaces) else None
    return list(namespaces).index(uri) if uri in namespaces else None


def address_of(text: str) -> Address:
    """What an address names. ValueError says what is wrong and what was expected."""
    node, mark, member = text.strip().replace("##", "\0").partition("#")
    if "#" in member:
        raise ValueError(f"address {text!r} has more than one #, {members.EXPECTED}, and ## for a # in a name")
    node, member = node.replace("\0", "#"), member.replace("\0", "#")
    ref = _path(node) if node.startswith(PATH) else parse(node)
    try:
        return Address(ref, members.parse(member) if mark else ())
    except ValueError as error:
        raise ValueError(f"address {text!r}: {error}") from error


def parse(text: str) -> NodeRef:
    """The node that a node id names. ValueError says what is wrong and what was expected."""
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"address {text!r} is not a node id, {EXPECTED}; or {EXPECTED_PATH.removeprefix('expected ')}")
    try:
        identifier = _identifier(match["kind"], match["identifier"])
    except (ValueError, binascii.Error) as error:
        raise ValueError(
            f"address {text!r}: {match['identifier']!r} is no identifier of kind {match['kind']}="
        ) from error
    return NodeRef(int(match["index"] or 0), match["uri"] or "", identifier)


def _path(text: str) -> PathRef:
    rest = text.removeprefix(PATH)
    start = OBJECTS
    if rest.startswith("/"):
        start, rest = ROOT, rest[1:]
    elif FORM.fullmatch(rest):
        first = re.match(r"(?:nsu=[^;]+;)?(?:&.|[^&/])+", rest, re.DOTALL)
        end = first.end() if first else len(rest)
        start, rest = parse(_unescaped(rest[:end])), rest[end + 1 :]
    steps, at = list[Step](), 0
    while at < len(rest):
        step = STEP.match(rest, at)
        end = step.end() if step else at
        if step is None or rest[end : end + 1] not in ("", "/") or end + 1 == len(rest):
            raise ValueError(f"address {text!r}: {rest[at:]!r} does not begin with a browse name, {EXPECTED_PATH}")
        steps.append(Step(int(step["index"] or 0), step["uri"] or "", _unescaped(step["name"])))
        at = end + 1
    if not steps:
        raise ValueError(f"address {text!r} has no browse name, {EXPECTED_PATH}")
    return PathRef(start, tuple(steps))


def _unescaped(text: str) -> str:
    return re.sub(r"&(.)", r"\1", text, flags=re.DOTALL)


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
