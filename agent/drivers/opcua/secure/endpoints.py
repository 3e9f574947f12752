"""Which of a server's endpoints is taken, and whether two lists of them are the same (OPC 10000-4 §5.5.4, §5.7.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asyncua import ua
from asyncua.crypto import security_policies

from agent.drivers.opcua.secure.security import DEPRECATED, POLICIES, Security

NONE_URI = security_policies.SecurityPolicyNone.URI


@dataclass(frozen=True, slots=True)
class Suite:
    """A security policy: the library's class, key sizes in bits that it allows, and whether SHA-1 signatures."""

    kind: type[security_policies.SecurityPolicy]
    smallest_key: int
    largest_key: int
    sha1: bool


# OPC 10000-7: key sizes of each profile.
SUITES = {
    "Aes256_Sha256_RsaPss": Suite(security_policies.SecurityPolicyAes256Sha256RsaPss, 2048, 4096, False),
    "Aes128_Sha256_RsaOaep": Suite(security_policies.SecurityPolicyAes128Sha256RsaOaep, 2048, 4096, False),
    "Basic256Sha256": Suite(security_policies.SecurityPolicyBasic256Sha256, 2048, 4096, False),
    "Basic256": Suite(security_policies.SecurityPolicyBasic256, 1024, 2048, True),
    "Basic128Rsa15": Suite(security_policies.SecurityPolicyBasic128Rsa15, 1024, 2048, True),
}
MODES = {"Sign": ua.MessageSecurityMode.Sign, "SignAndEncrypt": ua.MessageSecurityMode.SignAndEncrypt}


def policy_name(uri: str | None) -> str:
    """`Basic256Sha256` of a policy's URI; None for no security."""
    return (uri or NONE_URI).rsplit("#", 1)[-1]


def chosen(offered: Sequence[ua.EndpointDescription], config: Security) -> ua.EndpointDescription:
    """The best endpoint of those that `config` allows; among equals one that takes our kind of login.

    ConnectionError says what the server offers instead.
    """
    wanted = POLICIES if config.policy == "auto" else (config.policy,)
    modes = ("SignAndEncrypt", "Sign") if config.mode == "auto" else (config.mode,)
    ranks = [(MODES[m], SUITES[p].kind.URI) for m in modes for p in wanted]
    rank = {(e.SecurityMode, e.SecurityPolicyUri): e for e in reversed(list(offered)) if _ours(e)}
    found = [rank[r] for r in ranks if r in rank]
    if not found:
        raise ConnectionError(_lacking(offered, config))
    return next((e for e in found if takes(e, config.identity)), found[0])


def _ours(endpoint: ua.EndpointDescription) -> bool:
    return str(endpoint.EndpointUrl or "").startswith("opc.tcp://") and bool(endpoint.ServerCertificate)


def takes(endpoint: ua.EndpointDescription, identity: str) -> bool:
    """Whether an endpoint takes a kind of login (Anonymous, UserName, Certificate)."""
    return any(p.TokenType == getattr(ua.UserTokenType, identity) for p in endpoint.UserIdentityTokens or ())


def shown(offered: Iterable[ua.EndpointDescription]) -> list[str]:
    """Policy and mode of each endpoint."""
    return list(dict.fromkeys(f"{policy_name(e.SecurityPolicyUri)} {e.SecurityMode.name.rstrip('_')}" for e in offered))


def _lacking(offered: Sequence[ua.EndpointDescription], config: Security) -> str:
    asked = config.policy if config.mode == "auto" else f"{config.policy} {config.mode}"
    names = shown(offered)
    text = f"the server offers no endpoint for security {asked}, it offers {', '.join(names) or 'none at all'}"
    old = [p for p in DEPRECATED if any(name.startswith(f"{p} ") for name in names)]
    if config.policy == "auto" and old:
        return f"{text}; security: {old[0]} uses what is deprecated"
    return f"{text}; security: none would connect without any" if "None None" in names else text


def differences(discovered: Sequence[ua.EndpointDescription], returned: Sequence[ua.EndpointDescription]) -> list[str]:
    """What stands in one list only, in words: empty where both are the same.

    OPC 10000-4 §5.7.2: the first list was not signed, so somebody could have taken the safe endpoints out of it. Urls
    are left out, as servers write the host in them as they like; so are fields that a server may leave empty.
    """
    before, after = Counter(map(_key, discovered)), Counter(map(_key, returned))
    lost = [f"{_named(key)} only when asked before" for key in (before - after)]
    new = [f"{_named(key)} only in the session" for key in (after - before)]
    return lost + new


Key = tuple[str, str, int, str, frozenset[tuple[str, int, str]]]


def _key(endpoint: ua.EndpointDescription) -> Key:
    tokens = frozenset(
        (p.PolicyId or "", int(p.TokenType), p.SecurityPolicyUri or "") for p in endpoint.UserIdentityTokens or ()
    )
    uri = endpoint.Server.ApplicationUri if endpoint.Server is not None else ""
    policy, level = endpoint.SecurityPolicyUri or "", int(endpoint.SecurityLevel or 0)
    return (
        f"{policy_name(policy)} {endpoint.SecurityMode.name}",
        uri or "",
        level,
        endpoint.TransportProfileUri or "",
        tokens,
    )


def _named(key: Key) -> str:
    return f"{key[0]} of {key[1]}"
