"""How we log in: the token policy that is taken, and that no password goes out in the clear (OPC 10000-4 §7.40)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from agent.drivers.opcua.secure.endpoints import NONE_URI, SUITES, policy_name
from agent.drivers.opcua.secure.security import Security
from agent.runtime.pki import certificates

# PKCS #1 v1.5: who can ask the server often enough reads what was encrypted so.
BREAKABLE = SUITES["Basic128Rsa15"].kind.URI
RANKS = [*(suite.kind.URI for suite in SUITES.values()), NONE_URI]
IN_WORDS = {
    "Anonymous": "anonymous",
    "UserName": "user name",
    "Certificate": "user certificate",
    "IssuedToken": "token",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What we log in with; all empty: anonymous."""

    user: str = ""
    password: str = ""
    certificate: x509.Certificate | None = None
    key: rsa.RSAPrivateKey | None = None


def read(config: Security) -> Identity:
    """What the files of a configuration hold. OSError; also where they hold something else."""
    if config.user and config.password_file is not None:
        return Identity(config.user, config.password_file.read_text().rstrip("\r\n"))
    if config.user_certificate is None or config.user_key is None:
        return Identity()
    try:
        certificate = certificates.load(config.user_certificate.read_bytes())
        key = certificates.load_key(config.user_key.read_bytes())
    except ValueError as error:
        raise OSError(f"{config.user_certificate} with {config.user_key}: {error}") from error
    if key.public_key() != certificate.public_key():
        raise OSError(f"{config.user_key} is not the key of {config.user_certificate}")
    return Identity(certificate=certificate, key=key)


def token_policy(
    offered: Sequence[ua.UserTokenPolicy] | None,
    channel_uri: str,
    mode: ua.MessageSecurityMode,
    config: Security,
) -> ua.UserTokenPolicy:
    """The best policy for our kind of login on this channel, its own security policy filled in.

    ConnectionError where the server does not offer that kind, or where a secret would be readable on the way.
    """
    kind = getattr(ua.UserTokenType, config.identity)
    if not offered and config.identity == "Anonymous":
        return ua.UserTokenPolicy(TokenType=kind, SecurityPolicyUri=channel_uri)
    mine = [
        replace(p, SecurityPolicyUri=p.SecurityPolicyUri or channel_uri) for p in offered or () if p.TokenType == kind
    ]
    known = sorted((p for p in mine if p.SecurityPolicyUri in RANKS), key=lambda p: RANKS.index(p.SecurityPolicyUri))
    if not known:
        kinds = dict.fromkeys(IN_WORDS.get(p.TokenType.name, p.TokenType.name) for p in offered or ())
        raise ConnectionError(
            f"the server takes no {IN_WORDS[config.identity]} login here, it takes {', '.join(kinds) or 'none'}"
        )
    best = known[0]
    if config.identity == "Certificate" and best.SecurityPolicyUri == NONE_URI:
        raise ConnectionError(
            "the server wants no signature with a user certificate, so that anybody could show it; use security"
        )
    if config.identity == "UserName" and not _secret(best, mode) and not config.allow_plain_password:
        how = (
            "readable on the way"
            if best.SecurityPolicyUri == NONE_URI
            else f"under {policy_name(BREAKABLE)}, which is broken"
        )
        raise ConnectionError(f"the server wants the password {how}: use security, or set allow_plain_password: true")
    return best


def _secret(policy: ua.UserTokenPolicy, mode: ua.MessageSecurityMode) -> bool:
    """Whether nobody on the way can read a password."""
    return bool(mode == ua.MessageSecurityMode.SignAndEncrypt or policy.SecurityPolicyUri not in (NONE_URI, BREAKABLE))


def encrypts(policy: ua.UserTokenPolicy) -> bool:
    """Whether a password is encrypted for the owner of the server's certificate."""
    return bool(policy.TokenType == ua.UserTokenType.UserName and policy.SecurityPolicyUri != NONE_URI)
