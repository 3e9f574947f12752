"""The folders of certificates: what is moved where, what is passed over; and our own certificate."""

import datetime
import logging
import os

import pytest
from cryptography import x509
from opcua_pki import DAY, NOW, SERVER_URI, authority, certificate, der, key, key_pem, pem, put_pair, revocations

from agent.drivers import opcua
from agent.drivers.opcua.secure import trust
from agent.drivers.opcua.secure.past import BURST, Left, Past
from agent.runtime.pki import certificates, folders, making
from agent.runtime.pki.folders import ISSUER, REJECTED, TRUSTED, Folders
from agent.runtime.pki.judging import Expected

SUBJECT = making.Subject("edgetwin gw", "urn:gw:edgetwin:client", ("gw",))
PLC = certificate()


@pytest.fixture
def pki(tmp_path):
    return Folders(tmp_path / "state" / "pki")


def config(pki, **more):
    return opcua.Config(id="plc", type="opcua", endpoint="opc.tcp://plc.test", pki_dir=pki.root, **more)


def kept(pki, store):
    return [one.certificate for one in pki.kept(store)]


def extension(made, kind):
    return made.extensions.get_extension_for_class(kind)


def test_our_own_certificate_is_what_the_standard_asks(pki):
    own = pki.own(SUBJECT)
    made = own.certificate
    assert own.uri == "urn:gw:edgetwin:client"
    assert certificates.hosts(made) == ["gw"]
    usage = extension(made, x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.content_commitment
    assert usage.key_encipherment
    assert usage.data_encipherment
    assert not extension(made, x509.BasicConstraints).value.ca
    assert own.key.key_size == 2048
    assert made.signature_hash_algorithm.name == "sha256"
    assert pki.root.stat().st_mode & 0o777 == 0o700
    assert pki.own_key.stat().st_mode & 0o777 == 0o600
    made.verify_directly_issued_by(made)


def test_it_is_made_once_and_its_uri_outlives_the_name_of_the_host(pki):
    first = pki.own(SUBJECT)
    renamed = making.Subject("edgetwin other", "urn:other:edgetwin:client", ("other",))
    assert pki.own(renamed).certificate == first.certificate
    renewed = pki.renew(renamed)
    assert renewed.uri == first.uri
    assert renewed.certificate != first.certificate
    assert renewed.key.public_key() != first.key.public_key()
    assert certificates.hosts(renewed.certificate) == ["other", "gw"]
    assert pki.own(SUBJECT).certificate == renewed.certificate


def test_a_renewal_that_was_cut_off_in_the_middle_heals(pki):
    first = pki.own(SUBJECT)
    pki.own_key.write_bytes(key_pem(key("fresh")))  # the new key was written, the new certificate was not
    healed = pki.own(making.Subject("x", "urn:x", ()))
    assert healed.uri == first.uri
    assert healed.key.public_key() == healed.certificate.public_key()


def test_a_file_that_is_no_key_is_never_written_over(pki):
    pki.own(SUBJECT)
    pki.own_key.write_text("mine")
    with pytest.raises(OSError, match=r"edgetwin\.pem"):
        trust.ours(config(pki))
    assert pki.own_key.read_text() == "mine"


def test_no_certificate_is_made_while_the_clock_was_never_set(pki, monkeypatch):
    monkeypatch.setattr(making, "wall", lambda: datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))
    with pytest.raises(OSError, match="waiting for the time"):
        pki.own(SUBJECT)
    assert not pki.own_certificate.exists()


def test_what_is_made_for_a_folder_belongs_to_its_owner(pki, monkeypatch):
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append(path))
    pki.own(SUBJECT)
    names = {str(path.name) for path in given}
    assert {"pki", "edgetwin.der", "edgetwin.pem"} <= {name.strip(".").removesuffix(".new") for name in names}


@pytest.mark.parametrize("form", [der, pem])
def test_certificates_of_the_user_may_be_der_or_pem_with_their_chain(pki, tmp_path, form):
    root = authority("root")
    mine = certificate("mine", issuer=root, issuer_key=key("root"), uri="urn:mine")
    files = put_pair(tmp_path, "mine", mine, key("mine"))
    files[0].write_bytes(form(mine) + form(root))
    own = trust.ours(config(pki, certificate=files[0], private_key=files[1]))
    assert own.chain == (mine, root)
    assert own.uri == "urn:mine"


@pytest.mark.parametrize(
    ("made", "private", "says"),
    [
        (certificate(uri=""), key("plc"), "no URI in its SubjectAltName"),
        (certificate(), key("other"), "is not the key of"),
    ],
)
def test_certificates_of_the_user_that_cannot_be_used_are_told(pki, tmp_path, made, private, says):
    files = put_pair(tmp_path, "mine", made, private)
    with pytest.raises(OSError, match=says):
        trust.ours(config(pki, certificate=files[0], private_key=files[1]))


def test_a_stranger_is_kept_then_trusted_by_file_or_by_fingerprint_then_rejected(pki):
    for wanted in (str(pki.reject(PLC)), certificates.sha256(PLC), f"SHA1: {certificates.sha1(PLC).upper()}"):
        assert kept(pki, REJECTED) == [PLC]
        pki.move(wanted, TRUSTED)
        assert (kept(pki, TRUSTED), kept(pki, REJECTED)) == ([PLC], [])
        pki.move(certificates.sha256(PLC), REJECTED)
    assert kept(pki, TRUSTED) == []


def test_a_bundle_is_taken_apart_when_one_of_it_is_rejected(pki):
    other = certificate("other")
    pki.make()
    (pki.certs(TRUSTED) / "bundle.pem").write_bytes(pem(PLC) + pem(other))
    pki.move(certificates.sha1(PLC), REJECTED)
    assert kept(pki, TRUSTED) == [other]


def test_a_revocation_list_goes_to_its_authority(pki, tmp_path):
    root = authority("root")
    (tmp_path / "root.crl").write_bytes(der(revocations(root, key("root"), PLC)))
    pki.make()
    (pki.certs(ISSUER) / "root.der").write_bytes(der(root))
    (path,) = pki.move(str(tmp_path / "root.crl"), TRUSTED)
    assert path.parent == pki.root / "issuer" / "crl"
    assert len(pki.trust().crls) == 1


@pytest.mark.parametrize("wanted", ["nothing.der", "0" * 64])
def test_what_is_not_there_is_told(pki, wanted):
    with pytest.raises(ValueError, match="no such file"):
        pki.move(wanted, TRUSTED)


def test_what_lies_in_the_folders_by_mistake_is_passed_over_and_told(pki, caplog):
    pki.make()
    pki.move(str(pki.reject(PLC)), TRUSTED)
    (pki.certs(TRUSTED) / "notes.txt").write_text("remember the milk")
    (pki.certs(TRUSTED) / "folder").mkdir()
    with caplog.at_level(logging.WARNING):
        assert pki.trust().trusted == (PLC,)
    assert "notes.txt" in caplog.text


def test_strangers_do_not_fill_the_disk_and_the_newest_is_kept(pki, monkeypatch):
    monkeypatch.setattr(folders, "REJECTED_LIMIT", 2)
    strangers = [certificate(f"stranger{n}", key("stranger")) for n in range(4)]
    for n, stranger in enumerate(strangers):
        os.utime(pki.reject(stranger), (n, n))
    assert kept(pki, REJECTED) == strangers[-2:]


EXPECTED = Expected(SERVER_URI, "plc.test")


def test_a_stranger_is_refused_with_the_command_that_trusts_it(pki):
    with pytest.raises(ConnectionError) as caught:
        trust.accept(der(PLC), config(pki), EXPECTED)
    (file,) = (one.path for one in pki.kept(REJECTED))
    assert f"edgetwin certs trust {file} CONFIG" in str(caught.value)
    assert "BadCertificateUntrusted" in str(caught.value)
    pki.move(str(file), TRUSTED)
    assert trust.accept(der(PLC), config(pki), EXPECTED) == [PLC]


def test_what_may_be_ignored_is_named_and_then_only_told(pki, caplog):
    old = certificate(end=NOW - DAY / 2, hosts=("other.test",))
    pki.move(str(pki.reject(old)), TRUSTED)
    with pytest.raises(ConnectionError, match=r"ignore: \[validity, host_name\]"):
        trust.accept(der(old), config(pki), EXPECTED)
    with caplog.at_level(logging.WARNING):
        trust.accept(der(old), config(pki, ignore=("validity", "host_name")), EXPECTED)
    assert "ignored: BadCertificateTimeInvalid" in caplog.text


def test_a_clock_that_is_not_set_locks_out_only_until_it_is(pki, monkeypatch):
    pki.move(str(pki.reject(PLC)), TRUSTED)
    monkeypatch.setattr(trust.timesync, "quality", lambda: "unsynchronised")
    with monkeypatch.context() as before:
        before.setattr(making, "wall", lambda: datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))
        with pytest.raises(ConnectionError, match="the clock of this machine is not synchronised"):
            trust.accept(der(PLC), config(pki), EXPECTED)
    trust.accept(der(PLC), config(pki), EXPECTED)


def test_trust_none_takes_anybody_and_says_so(pki, caplog):
    with caplog.at_level(logging.WARNING):
        trust.accept(der(certificate(uri="urn:x")), config(pki, trust="none"), EXPECTED)
    assert "trust none" in caplog.text
    with pytest.raises(ConnectionError, match="BadCertificateInvalid"):
        trust.accept(b"", config(pki, trust="none"), EXPECTED)
    small = certificate(private=key("small", 1024))
    with pytest.raises(ConnectionError, match="1024 bits"):  # the policy could not be carried out with it
        trust.accept(der(small), config(pki, trust="none"), EXPECTED)


def test_a_pinned_file_or_fingerprint_is_all_the_trust_there_is(pki, tmp_path):
    (tmp_path / "plc.pem").write_bytes(pem(PLC))
    for pin in ({"server_certificate": tmp_path / "plc.pem"}, {"server_fingerprint": certificates.sha256(PLC)}):
        trust.accept(der(PLC), config(pki, **pin), EXPECTED)
        with pytest.raises(ConnectionError, match="expected sha256:") as caught:
            trust.accept(der(certificate("other")), config(pki, **pin), EXPECTED)
        assert "certs trust" not in str(caught.value)


S = 1_000_000_000


def test_a_full_server_is_waited_for_longer_each_time_until_a_session_times_out():
    past = Past()
    waits = [past.later(60.0, 0) for _ in range(8)]
    assert 2.5 <= waits[0] <= 5.0
    assert all(30.0 <= wait <= 60.0 for wait in waits[4:])
    assert past.wait_s(0) == pytest.approx(max(waits))
    past.welcome()
    assert 2.5 <= past.later(60.0, 10 * S) <= 5.0


def test_sessions_that_break_again_and_again_are_opened_at_a_slower_pace():
    past, left = Past(), Left(None, b"", None, None)
    for n in range(BURST - 1):
        past.lose(left, n * S)
        assert past.wait_s(n * S) == 0.0
    past.lose(left, 100 * S)
    assert past.wait_s(100 * S) == pytest.approx(30.0)
    past.lose(left, 4000 * S)  # one an hour later
    assert past.wait_s(4000 * S) <= 30.0
    assert past.wait_s(4031 * S) == 0.0
