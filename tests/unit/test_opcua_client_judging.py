"""A server's certificate, step by step (OPC 10000-4 §6.1.3): those wrong in one thing, and those that are right."""

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from opcua_pki import DAY, NOW, RIGHT_USAGE, SERVER_URI, authority, certificate, der, key, pem, revocations

from agent.runtime.pki import certificates
from agent.runtime.pki.judging import Expected, Trust, findings

EXPECTED = Expected(SERVER_URI, "plc.test")
ROOT = authority("root")
MIDDLE = authority("middle", ROOT, key("root"), path_length=0)
LEAF = certificate("leaf", issuer=MIDDLE, issuer_key=key("middle"))
CRLS = (revocations(ROOT, key("root")), revocations(MIDDLE, key("middle")))
CHAIN = Trust(trusted=(ROOT,), issuers=(MIDDLE,), crls=CRLS)


def judged(sent, trust=None, expected=EXPECTED, now=NOW):
    sent = sent if isinstance(sent, list) else [sent]
    return [f.status for f in findings(sent, trust or Trust(trusted=(sent[0],)), expected, now)]


def test_a_certificate_that_is_trusted_itself_is_accepted():
    assert judged(certificate()) == []


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"start": NOW - 9 * DAY, "end": NOW - DAY}, "BadCertificateTimeInvalid"),
        ({"start": NOW + DAY}, "BadCertificateTimeInvalid"),
        ({"hosts": ("other.test",)}, "BadCertificateHostNameInvalid"),
        ({"hosts": ()}, "BadCertificateHostNameInvalid"),
        ({"uri": "urn:somebody:else"}, "BadCertificateUriInvalid"),
        ({"uri": ""}, "BadCertificateUriInvalid"),
        ({"usage": ("digital_signature",)}, "BadCertificateUseNotAllowed"),
        ({"extended": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "BadCertificateUseNotAllowed"),
        ({"private": key("small", 1024)}, "BadCertificatePolicyCheckFailed"),
    ],
)
def test_each_thing_that_is_wrong_is_found_and_nothing_else(more, status):
    assert judged(certificate(**more)) == [status]


def test_a_deprecated_policy_takes_a_small_key():
    assert judged(certificate(private=key("small", 1024)), expected=Expected(SERVER_URI, "plc.test", 1024, 2048)) == []


@pytest.mark.parametrize("host", ["PLC.test.", "192.0.2.7", ""])
def test_the_host_is_one_of_those_in_the_certificate(host):
    assert judged(certificate(), expected=Expected(SERVER_URI, host)) == []


def test_an_address_written_as_a_name_is_found_too():
    odd = certificate(hosts=(x509.DNSName("192.0.2.9"),))
    assert judged(odd, expected=Expected(SERVER_URI, "192.0.2.9")) == []


def test_what_restricts_nothing_is_no_misuse():
    assert judged(certificate(usage=None, extended=())) == []


def test_a_stranger_is_not_trusted_and_is_named_by_its_fingerprints():
    stranger = certificate("stranger")
    (found,) = findings([stranger], Trust(trusted=(certificate("friend"),)), EXPECTED, NOW)
    assert (found.step, found.status) == ("trust", "BadCertificateUntrusted")
    assert certificates.sha256(stranger) in found.text
    assert certificates.sha1(stranger) in found.text


def test_one_with_the_name_of_a_trusted_one_is_a_stranger():
    assert judged(certificate("plc", key("other")), Trust(trusted=(certificate("plc"),))) == ["BadCertificateUntrusted"]


def test_a_forged_signature_of_its_own_is_found():
    forged = certificate("forged", issuer_key=key("other"))
    assert judged(forged, Trust()) == ["BadCertificateInvalid", "BadCertificateUntrusted"]


@pytest.mark.parametrize("sent", [[LEAF], [LEAF, MIDDLE], [LEAF, MIDDLE, ROOT]])
def test_a_chain_up_to_a_trusted_root_is_accepted(sent):
    assert judged(sent, CHAIN) == []


def test_the_middle_may_come_from_the_server():
    assert judged([LEAF, MIDDLE], Trust(trusted=(ROOT,), crls=CRLS)) == []


def test_a_chain_without_its_middle_is_incomplete():
    assert judged([LEAF], Trust(trusted=(ROOT,), crls=CRLS)) == [
        "BadCertificateChainIncomplete",
        "BadCertificateUntrusted",
    ]


def test_a_root_that_only_completes_chains_is_not_trusted():
    assert judged([LEAF], Trust(issuers=(ROOT, MIDDLE), crls=CRLS)) == ["BadCertificateUntrusted"]


def test_a_chain_signed_by_somebody_with_the_same_name_is_refused():
    forged = certificate("leaf", issuer=MIDDLE, issuer_key=key("other"))
    assert judged([forged], CHAIN) == ["BadCertificateInvalid", "BadCertificateUntrusted"]


def test_a_renewed_authority_under_the_same_name_does_not_hide_the_old_one():
    renewed = authority("middle", ROOT, key("root"), private=key("renewed"))
    assert judged([LEAF], Trust(trusted=(ROOT,), issuers=(renewed, MIDDLE), crls=CRLS)) == []


def test_who_may_not_sign_is_no_authority():
    plain = certificate("plain")
    leaf = certificate("leaf", issuer=plain, issuer_key=key("plain"))
    crls = (revocations(plain, key("plain")),)
    assert judged([leaf], Trust(trusted=(plain,), crls=crls)) == ["BadCertificateIssuerUseNotAllowed"]


def test_an_authority_below_one_that_allows_none_is_refused():
    below = authority("below", MIDDLE, key("middle"))
    leaf = certificate("leaf", issuer=below, issuer_key=key("below"))
    crls = (*CRLS, revocations(below, key("below")))
    assert judged([leaf, below], Trust((ROOT,), (MIDDLE,), crls)) == ["BadCertificateIssuerUseNotAllowed"]


def test_an_authority_whose_time_is_over_vouches_for_nobody():
    old = authority("old", end=NOW - DAY / 2)
    leaf = certificate("leaf", issuer=old, issuer_key=key("old"))
    crls = (revocations(old, key("old")),)
    assert judged([leaf], Trust(trusted=(old,), crls=crls)) == ["BadCertificateIssuerTimeInvalid"]


def test_without_a_revocation_list_nobody_knows():
    assert judged([LEAF], Trust((ROOT,), (MIDDLE,))) == [
        "BadCertificateRevocationUnknown",
        "BadCertificateIssuerRevocationUnknown",
    ]


def test_a_revocation_list_whose_time_is_over_counts_as_none():
    late = (CRLS[0], revocations(MIDDLE, key("middle"), end=NOW - DAY / 2))
    assert judged([LEAF], Trust((ROOT,), (MIDDLE,), late)) == ["BadCertificateRevocationUnknown"]


def test_a_revocation_list_that_somebody_else_signed_counts_as_none():
    forged = (CRLS[0], revocations(MIDDLE, key("other")))
    assert judged([LEAF], Trust((ROOT,), (MIDDLE,), forged)) == ["BadCertificateRevocationUnknown"]


def test_the_revoked_are_refused_whether_leaf_or_authority():
    leaf = (CRLS[0], revocations(MIDDLE, key("middle"), LEAF))
    assert judged([LEAF], Trust((ROOT,), (MIDDLE,), leaf)) == ["BadCertificateRevoked"]
    middle = (revocations(ROOT, key("root"), MIDDLE), CRLS[1])
    assert judged([LEAF], Trust((ROOT,), (MIDDLE,), middle)) == ["BadCertificateIssuerRevoked"]


def test_the_newest_revocation_list_counts():
    older = revocations(MIDDLE, key("middle"), start=NOW - 2 * DAY)
    newer = revocations(MIDDLE, key("middle"), LEAF)
    assert judged([LEAF], Trust((ROOT,), (MIDDLE,), (CRLS[0], newer, older))) == ["BadCertificateRevoked"]


def test_a_leaf_that_is_trusted_itself_needs_no_authority_but_may_be_revoked():
    assert judged([LEAF], Trust(trusted=(LEAF,))) == []
    crls = (revocations(MIDDLE, key("middle"), LEAF),)
    assert judged([LEAF], Trust(trusted=(LEAF,), issuers=(MIDDLE,), crls=crls)) == ["BadCertificateRevoked"]


def test_a_pin_takes_the_one_certificate_whatever_its_host():
    plc = certificate()
    elsewhere = Expected(SERVER_URI, "elsewhere.test")
    for pin in (f"sha256:{certificates.sha256(plc)}", f"sha1:{certificates.sha1(plc)}"):
        assert judged(plc, Trust(pin=pin), elsewhere) == []
        assert judged(certificate("other"), Trust(pin=pin), elsewhere) == ["BadCertificateUntrusted"]


def test_a_pin_is_not_widened_by_the_trust_list():
    plc, other = certificate(), certificate("other")
    pin = f"sha256:{certificates.sha256(plc)}"
    assert judged(other, Trust(trusted=(other,), pin=pin)) == ["BadCertificateUntrusted"]


def test_a_chain_that_bites_its_tail_ends():
    one = authority("one", issuer=authority("two"), issuer_key=key("two"))
    two = authority("two", issuer=one, issuer_key=key("one"))
    leaf = certificate("leaf", issuer=one, issuer_key=key("one"))
    assert "BadCertificateChainIncomplete" in judged([leaf, one, two], Trust())


def test_all_that_is_wrong_is_told_in_the_order_of_the_standard():
    bad = certificate(start=NOW + DAY, hosts=("x.test",), uri="urn:x", usage=RIGHT_USAGE[:1])
    assert judged(bad, Trust()) == [
        "BadCertificateUntrusted",
        "BadCertificateTimeInvalid",
        "BadCertificateHostNameInvalid",
        "BadCertificateUriInvalid",
        "BadCertificateUseNotAllowed",
    ]


def test_der_and_pem_alone_and_in_chains():
    for content in (der(LEAF) + der(MIDDLE), pem(LEAF) + pem(MIDDLE)):
        assert certificates.load_chain(content) == [LEAF, MIDDLE]
    assert certificates.load_sent(der(LEAF) + b"\0\0") == [LEAF]
    for nothing in (b"", b"x", der(LEAF) + b"x", b"-----BEGIN NONSENSE"):
        with pytest.raises(ValueError):  # noqa: PT011  (cryptography's own words)
            certificates.load_chain(nothing)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_certificate_or_a_plain_error(content):
    for load in (certificates.load_chain, certificates.load_sent):
        with pytest.raises(ValueError):  # noqa: PT011
            load(content)
