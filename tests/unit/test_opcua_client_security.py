"""What can be set for the security of an OPC UA connection: defaults, what does not fit together, advice."""

import pydantic
import pytest

from agent.drivers import opcua
from agent.drivers.opcua.secure import refusals, security, trust

FILE = "/nowhere"


def config(endpoint="opc.tcp://plc.test:4840", **more):
    return opcua.Config(id="plc", type="opcua", endpoint=endpoint, **more)


@pytest.mark.parametrize(
    ("endpoint", "given", "policy"),
    [
        ("opc.tcp://plc.test", {}, "auto"),
        ("opc.tcp://192.0.2.7:4840/x", {}, "auto"),
        ("opc.tcp://localhost:4840", {}, "none"),
        ("opc.tcp://127.0.0.2:4840", {}, "none"),
        ("opc.tcp://[::1]:4840", {}, "none"),
        ("opc.tcp://localhost:4840", {"security": "auto"}, "auto"),
        ("opc.tcp://plc.test", {"security": "none"}, "none"),
    ],
)
def test_nothing_is_unprotected_on_a_network_unless_it_is_written(endpoint, given, policy):
    assert config(endpoint, **given).policy == policy


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("opc.tcp://plc.test", "opc.tcp://plc.test:4840"),
        ("opc.tcp://plc.test/a/b", "opc.tcp://plc.test:4840/a/b"),
        ("opc.tcp://[fe80::1]", "opc.tcp://[fe80::1]:4840"),
        ("opc.tcp://plc.test:1", "opc.tcp://plc.test:1"),
    ],
)
def test_the_port_is_4840_where_none_is_written(endpoint, url):
    assert config(endpoint).url == url


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"user": "anna"}, "user and password_file belong together"),
        ({"user_certificate": FILE}, "user_certificate and user_key belong together"),
        ({"certificate": FILE}, "certificate and private_key belong together"),
        ({"user": "a", "password_file": FILE, "user_certificate": FILE, "user_key": FILE}, "two ways to log in"),
        ({"server_certificate": FILE, "server_fingerprint": "0" * 64}, "expected one"),
        ({"server_fingerprint": "123"}, "expected sha256: and 64 hexadecimal digits"),
        ({"trust": "none", "server_certificate": FILE}, "trust: none takes any server"),
        ({"security": "none", "mode": "Sign"}, "mode Sign is of a secured connection"),
        ({"security": "Basic512"}, "Input should be 'none', 'auto'"),
        ({"endpoint": "opc.tcp://user:secret@plc.test"}, "pattern"),
        ({"ignore": ["trust"]}, "Input should be 'validity'"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_words(given, says):
    with pytest.raises(pydantic.ValidationError) as caught:
        config(**given)
    assert says in str(caught.value)


def test_on_the_loopback_interface_a_host_name_proves_nothing():
    assert trust.expected(config("opc.tcp://127.0.0.1:4840"), "urn:x", (2048, 4096), False).host == ""
    assert trust.expected(config("opc.tcp://PLC.test"), "urn:x", (2048, 4096), False).host == "plc.test"


def test_a_fingerprint_is_taken_as_people_copy_it():
    assert config(server_fingerprint="AA:" * 31 + "AA").server_fingerprint == "sha256:" + "aa" * 32


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"security": "none"}, "anybody between here and plc.test"),
        ({"security": "Basic128Rsa15"}, "deprecated"),
        ({"security": "Basic256"}, "deprecated"),
        ({"mode": "Sign"}, "SignAndEncrypt"),
        ({"trust": "none"}, "any machine can pass for this server"),
        ({"server_fingerprint": "0" * 40}, "SHA-1"),
        ({"allow_plain_password": True}, "password"),
        ({"ignore": ["validity"]}, "validity"),
    ],
)
def test_what_is_allowed_and_not_safe_gets_advice(given, says):
    (text,) = opcua.advice(config(**given), [])
    assert says in text


@pytest.mark.parametrize("given", [{}, {"security": "Aes256_Sha256_RsaPss"}, {"server_fingerprint": "0" * 64}])
def test_what_is_safe_gets_none(given):
    assert opcua.advice(config(**given), []) == []
    assert opcua.advice(config("opc.tcp://127.0.0.1:4841", security="none"), []) == []


def test_meters_of_certificates_only_where_there_are_any():
    def names(given):
        return {m.name for m in opcua.meters(given, [])}

    assert {"certificate_days", "server_certificate_days"} <= names(config())
    assert not {"certificate_days", "server_certificate_days"} & names(config(security="none"))


def test_every_refusal_is_in_words_with_the_name_of_its_code():
    assert refusals.words("BadCertificateUntrusted", "edgetwin gw (SHA-1 thumbprint AB)") == (
        "the server does not trust our certificate: on the server move edgetwin gw (SHA-1 thumbprint AB) "
        "from the rejected to the trusted certificates (BadCertificateUntrusted)"
    )
    for status in refusals.WORDS:
        assert refusals.words(status).endswith(f"({status})")
        assert "{" not in refusals.words(status)
    assert refusals.words("BadSomethingNew") == "BadSomethingNew"
    assert set(refusals.WORDS) >= refusals.LATER
    assert security.POLICIES[0] == "Aes256_Sha256_RsaPss"
