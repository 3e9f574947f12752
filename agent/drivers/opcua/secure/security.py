"""What can be set for the security of a connection, what is wrong with it, and what is worth a word of advice.

No OPC UA library needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pydantic

from agent.config.hosts import on_this_machine
from agent.config.model import Model
from agent.runtime.pki import fingerprints

# The best first.
POLICIES = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
DEPRECATED = ("Basic256", "Basic128Rsa15")
Policy = Literal[
    "none", "auto", "Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256", "Basic256", "Basic128Rsa15"
]
PORT = 4840


class Security(Model):
    """How a server is recognised, how we prove who we are, and how the connection is protected."""

    id: str
    endpoint: str = pydantic.Field(
        pattern=r"^opc\.tcp://(\[[^\]\s/@]+\]|[^/\s@:\[\]]+)(:\d{1,5})?(/\S*)?$",
        description="opc.tcp://host[:port][/path]",
    )
    security: Policy | None = pydantic.Field(
        None,
        description="Security policy; auto: the best the server offers, never none. "
        "Unset: none for a server on this machine itself, else auto",
    )
    mode: Literal["auto", "Sign", "SignAndEncrypt"] = pydantic.Field(
        "auto", description="auto: SignAndEncrypt where the server offers it, else Sign"
    )
    user: str = pydantic.Field("", description="User name; unset: anonymous")
    password_file: Path | None = pydantic.Field(None, description="File that holds the password")
    allow_plain_password: bool = pydantic.Field(
        False, description="Send the password readable by anybody on the network, where the server wants it so"
    )
    user_certificate: Path | None = pydantic.Field(None, description="Log in with this certificate (DER or PEM)")
    user_key: Path | None = pydantic.Field(None, description="Its private key")
    certificate: Path | None = pydantic.Field(
        None, description="Our certificate (DER or PEM, authorities may follow); unset: our own, made on first use"
    )
    private_key: Path | None = pydantic.Field(None, description="Its private key (DER or PEM)")
    key_bits: Literal[2048, 3072, 4096] = pydantic.Field(2048, description="Size of the key that is made on first use")
    pki_dir: Path = pydantic.Field(
        Path("/var/lib/edgetwin/pki"), description="own, trusted, issuer and rejected certificates"
    )
    trust: Literal["list", "none"] = pydantic.Field("list", description="none: any server is taken for the right one")
    server_certificate: Path | None = pydantic.Field(None, description="The only certificate the server may show")
    server_fingerprint: str = pydantic.Field("", description="Its fingerprint in place of a file: sha256:...")
    ignore: tuple[Literal["validity", "host_name", "uri", "usage", "revocation", "endpoints"], ...] = pydantic.Field(
        (), description="What may be wrong with the server's certificate and is only told in the log"
    )
    connect_timeout_s: float = pydantic.Field(
        10.0, gt=0, le=300, description="Wait for a session, and for an answer of the server"
    )
    session_timeout_s: float = pydantic.Field(
        60.0, gt=0, le=86_400, description="How long the server keeps a session whose connection broke"
    )
    channel_lifetime_s: float = pydantic.Field(
        3600.0, ge=4, le=86_400, description="When the keys of the connection are made anew, at the latest"
    )

    @pydantic.field_validator("server_fingerprint")
    @classmethod
    def _fingerprint(cls, text: str) -> str:
        return fingerprints.read(text) if text else ""

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Security:
        for one, other in (
            ("user", "password_file"),
            ("user_certificate", "user_key"),
            ("certificate", "private_key"),
        ):
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                raise ValueError(f"{one} and {other} belong together")
        if self.user and self.user_certificate:
            raise ValueError("user and user_certificate are two ways to log in, expected one")
        if self.server_certificate and self.server_fingerprint:
            raise ValueError("server_certificate and server_fingerprint say the same, expected one")
        if self.trust == "none" and (self.server_certificate or self.server_fingerprint):
            raise ValueError("trust: none takes any server, expected no server_certificate or server_fingerprint")
        if self.mode != "auto" and self.policy == "none":
            raise ValueError(f"mode {self.mode} is of a secured connection, expected another security than none")
        return self

    @property
    def host(self) -> str:
        """The host in the endpoint."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def url(self) -> str:
        """The endpoint with its port."""
        parts = urlsplit(self.endpoint)
        return self.endpoint if parts.port else parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{PORT}").geturl()

    @property
    def policy(self) -> str:
        """What `security` comes to: on the loopback interface nobody listens in."""
        return self.security or ("none" if on_this_machine(self.host) else "auto")

    @property
    def identity(self) -> Literal["Anonymous", "UserName", "Certificate"]:
        """How we log in, as the standard names it."""
        return "UserName" if self.user else "Certificate" if self.user_certificate else "Anonymous"


def advice(config: Security) -> list[str]:
    """What a commissioning engineer should know of a choice that is allowed and not safe."""
    said = []
    if config.policy == "none" and not on_this_machine(config.host):
        said.append(f"security none: anybody between here and {config.host} can read and change values; try auto")
    if config.policy in DEPRECATED:
        said.append(f"security {config.policy} is broken (SHA-1) and deprecated since 2017; try auto")
    if config.mode == "Sign":
        said.append("mode Sign: values can be read on the way; expected SignAndEncrypt where the server offers it")
    if config.trust == "none":
        said.append("trust none: any machine can pass for this server; expected its certificate in the trust list")
    if config.server_fingerprint.startswith("sha1:"):
        said.append("server_fingerprint is SHA-1, which can be forged; expected sha256:... (edgetwin certs list)")
    if config.allow_plain_password:
        said.append("allow_plain_password: the password can be read on the way")
    if config.ignore:
        said.append(f"ignore: {', '.join(config.ignore)} of the server's certificate is not enforced")
    return said
