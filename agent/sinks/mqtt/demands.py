"""What the platforms demand of a configuration, and what they prescribe where it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agent.config.hosts import on_this_machine

if TYPE_CHECKING:
    from agent.sinks.mqtt import Config

# AWS: "AWS IoT Core endpoints and quotas", message broker and protocol limits.
AWS_BYTES = 128 * 1024
AWS_SLASHES, AWS_TOPIC_BYTES, AWS_CLIENT_ID = 7, 256, 128
AWS_KEEPALIVE_S = (30, 1200)
AWS_IN_FLIGHT, AWS_MESSAGES_PER_S, AWS_BYTES_PER_S = 100, 100.0, 512 * 1024
AWS_ALPN, AWS_ALPN_PORT = "x-amzn-mqtt-ca", 443
OURS = "/summary/"  # the longest of what follows a prefix, before an asset

# Azure: "Communicate with an IoT hub using the MQTT protocol".
AZURE_BYTES = 256 * 1024
AZURE_API = "2021-04-12"
AZURE_KEEPALIVE_S = 1177

# ThingsBoard: netty.max_payload_size of the MQTT transport, as it is delivered.
THINGSBOARD_BYTES = 65_536

# Below the enterprise of a unified namespace: what is of a gateway and of no machine.
OF_GATEWAY = "/_gateway/"


def problems(config: Config) -> Iterator[str]:
    """What the platform would refuse, in words; nothing where all is well."""
    if config.shared_access_key_file and config.format != "azure":
        yield "shared_access_key_file is of Azure IoT Hub, expected format: azure"
    if config.user and config.user_file:
        yield "user and user_file are given, expected one of them"
    yield from _DEMANDS.get(config.format, _nothing)(config)


def _nothing(config: Config) -> Iterator[str]:
    yield from ()


def _aws(config: Config) -> Iterator[str]:
    least, most = AWS_KEEPALIVE_S
    if not least <= config.keepalive_s <= most:
        yield f"keepalive_s: AWS IoT Core takes {least} to {most} s"
    if config.max_in_flight > AWS_IN_FLIGHT:
        yield f"max_in_flight: AWS IoT Core takes {AWS_IN_FLIGHT} at most"
    if len(config.client_id) > AWS_CLIENT_ID or config.client_id.startswith("$"):
        yield f"client_id: AWS IoT Core takes {AWS_CLIENT_ID} characters at most, and none that begins with $"
    slashes = AWS_SLASHES - OURS.count("/")
    if config.prefix.count("/") > slashes or len(config.prefix.encode()) > AWS_TOPIC_BYTES // 2:
        yield (
            f"prefix: AWS IoT Core takes topics of {AWS_SLASHES} slashes and {AWS_TOPIC_BYTES} bytes, expected one "
            f"of {slashes} and {AWS_TOPIC_BYTES // 2} at most"
        )
    if config.backlog_bytes_per_s > AWS_BYTES_PER_S:
        yield f"backlog_bytes_per_s: AWS IoT Core takes {AWS_BYTES_PER_S} bytes a second of one connection at most"
    if config.compress_above_bytes is not None:
        yield "compress_above_bytes: the rules of AWS IoT Core read JSON, expected none"
    if _far(config) and config.cert_file is None:
        yield "AWS IoT Core knows a device by its certificate, expected cert_file and key_file"


def _azure(config: Config) -> Iterator[str]:
    yield from _foreign(config, "Azure IoT Hub")
    if config.keepalive_s > AZURE_KEEPALIVE_S:
        yield f"keepalive_s: Azure IoT Hub takes {AZURE_KEEPALIVE_S} s at most"
    if config.user or config.user_file:
        yield "user: Azure IoT Hub's is made of host and client_id, expected none"
    known = [config.cert_file, config.password_file, config.shared_access_key_file]
    if _far(config) and sum(file is not None for file in known) != 1:
        yield (
            "Azure IoT Hub knows a device by its certificate or its key, expected one of cert_file with key_file, "
            "shared_access_key_file, or password_file with a token"
        )


def _thingsboard(config: Config) -> Iterator[str]:
    yield from _foreign(config, "ThingsBoard")
    if not (config.user or config.user_file or config.cert_file):
        yield "ThingsBoard knows a gateway by its access token, expected user_file with it (or cert_file and key_file)"


def _foreign(config: Config, name: str) -> Iterator[str]:
    """Of platforms whose topics are their own."""
    if config.prefix:
        yield f"prefix: the topics of {name} are its own, expected none"
    if config.acknowledge == "end_to_end":
        yield f"acknowledge: nobody can confirm through {name}, expected broker"
    if "version" in config.model_fields_set and config.version != "3.1.1":
        yield f"version: {name} speaks MQTT 3.1.1, expected that"


def _uns(config: Config) -> Iterator[str]:
    if not config.prefix:
        yield "a namespace begins with the enterprise, expected prefix: its name"


_DEMANDS: Mapping[str, Callable[[Config], Iterator[str]]] = {
    "aws": _aws,
    "azure": _azure,
    "thingsboard": _thingsboard,
    "uns": _uns,
}


def _far(config: Config) -> bool:
    return not all(on_this_machine(host) for host, _ in config.places)


def settled(config: Config, gateway: str) -> Config:
    """The configuration with what the platform prescribes filled in."""
    return config.model_copy(update=_PRESCRIBED.get(config.format, _as_it_is)(config, gateway))


def _as_it_is(config: Config, gateway: str) -> dict[str, Any]:
    return {}


def _of_aws(config: Config, gateway: str) -> dict[str, Any]:
    by_443 = config.tls and any(port == AWS_ALPN_PORT for _, port in config.places)
    return {"alpn": (AWS_ALPN,) if by_443 else (), "backlog_messages_per_s": AWS_MESSAGES_PER_S / 2}


def _of_azure(config: Config, gateway: str) -> dict[str, Any]:
    device, (host, _) = config.client_id or gateway, config.places[0]
    return {"client_id": device, "user": f"{host}/{device}/?api-version={AZURE_API}", "version": "3.1.1"}


def _of_thingsboard(config: Config, gateway: str) -> dict[str, Any]:
    return {"version": "3.1.1"}


def _of_uns(config: Config, gateway: str) -> dict[str, Any]:
    return {"prefix": f"{config.prefix}{OF_GATEWAY}{gateway}"}


_PRESCRIBED: Mapping[str, Callable[[Config, str], dict[str, Any]]] = {
    "aws": _of_aws,
    "azure": _of_azure,
    "thingsboard": _of_thingsboard,
    "uns": _of_uns,
}
