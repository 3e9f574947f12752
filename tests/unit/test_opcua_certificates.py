"""The list of trusted clients: who is in it, who vouches for whom, and what lies there by mistake."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from agent.sinks.opcua.server import certificates
from agent.sinks.opcua.server.certificates import TrustList, Untrusted

URI = "urn:test:client"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


def certificate(name="scada", key=KEYS[0], issuer=None, issuer_key=None, ca=False, start=NOW - DAY, end=NOW + DAY):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI)]), False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        .sign(issuer_key or key, hashes.SHA256())
    )


def der(one):
    return one.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def trust(tmp_path):
    return TrustList(tmp_path / "trusted", tmp_path / "rejected", False)


def test_the_trusted_get_in_as_der_or_pem_and_with_a_chain_behind(trust):
    one, two = certificate("one"), certificate("two", KEYS[1])
    (trust.trusted / "one.der").write_bytes(der(one))
    (trust.trusted / "two.pem").write_bytes(two.public_bytes(serialization.Encoding.PEM))
    trust.check(der(one), URI)
    trust.check(der(two) + der(one), URI)


def test_a_stranger_is_refused_and_kept_with_a_name_that_is_only_a_name(trust):
    stranger = certificate("../../etc/x y")
    with pytest.raises(Untrusted) as caught:
        trust.check(der(stranger))
    assert caught.value.reason == "BadCertificateUntrusted"
    (kept,) = trust.rejected.iterdir()
    assert kept.read_bytes() == der(stranger)
    assert kept.name.startswith(".._.._etc_x_y-")


def test_strangers_do_not_fill_the_disk(trust, monkeypatch):
    monkeypatch.setattr(certificates, "REJECTED_LIMIT", 3)
    for number in range(5):
        with pytest.raises(Untrusted):
            trust.check(der(certificate(f"stranger{number}")))
    assert len(list(trust.rejected.iterdir())) == 3


def test_an_authority_vouches_for_whom_it_signed_and_nobody_else_does(trust):
    authority = certificate("authority", KEYS[1], ca=True)
    signed = certificate("signed", issuer=authority, issuer_key=KEYS[1])
    forged = certificate("forged", issuer=authority)  # names the authority, is signed with another key
    (trust.trusted / "authority.der").write_bytes(der(authority))
    trust.check(der(signed))
    with pytest.raises(Untrusted, match="refused"):
        trust.check(der(forged))


def test_a_trusted_client_is_no_authority(trust):
    client = certificate("client", KEYS[1], ca=False)
    (trust.trusted / "client.der").write_bytes(der(client))
    with pytest.raises(Untrusted, match="refused"):
        trust.check(der(certificate("friend", issuer=client, issuer_key=KEYS[1])))


@pytest.mark.parametrize(("start", "end"), [(NOW - 3 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)])
def test_out_of_its_time_it_is_refused_though_trusted(trust, start, end):
    old = certificate(start=start, end=end)
    (trust.trusted / "old.der").write_bytes(der(old))
    with pytest.raises(Untrusted) as caught:
        trust.check(der(old))
    assert caught.value.reason == "BadCertificateTimeInvalid"


def test_a_small_key_is_refused_though_trusted(trust):
    small = certificate(key=rsa.generate_private_key(public_exponent=65537, key_size=1024))
    (trust.trusted / "small.der").write_bytes(der(small))
    with pytest.raises(Untrusted, match="2048 bits"):
        trust.check(der(small))


@pytest.mark.parametrize("content", [b"", b"\x30", b"\x30\x82\xff\xff", b"not a certificate", bytes(500)])
def test_bytes_that_are_no_certificate_are_refused(trust, content):
    with pytest.raises(Untrusted) as caught:
        trust.check(content)
    assert caught.value.reason == "BadCertificateInvalid"


def test_what_lies_in_the_folder_by_mistake_is_passed_over(trust):
    one = certificate()
    (trust.trusted / "folder").mkdir()
    (trust.trusted / "notes.txt").write_text("remember the milk")
    (trust.trusted / "one.der").write_bytes(der(one))
    trust.check(der(one))


def test_where_the_folder_is_gone_nobody_is_trusted(trust):
    trust.trusted.rmdir()
    trust.rejected.rmdir()
    with pytest.raises(Untrusted):
        trust.check(der(certificate()))


def test_our_own_certificate_says_who_and_where_we_are(tmp_path):
    path, key = certificates.own(tmp_path / "pki", "urn:edgetwin:gw1", "opc.tcp://192.0.2.7:4840")
    made = x509.load_der_x509_certificate(path.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:edgetwin:gw1"]
    assert "192.0.2.7" in map(str, names.get_values_for_type(x509.IPAddress))
    assert key.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    certificates.own(tmp_path / "pki", "urn:edgetwin:gw1", "opc.tcp://192.0.2.7:4840")
    assert path.read_bytes() == before
    certificates.own(tmp_path / "pki", "urn:edgetwin:gw2", "opc.tcp://192.0.2.7:4840")
    assert path.read_bytes() != before
