"""Fingerprints as people copy them from tools and certificates."""

import pytest

from agent.runtime.pki import fingerprints

DIGITS = "0123456789abcdef" * 4
COLONS = ":".join(DIGITS[i : i + 2] for i in range(0, 64, 2)).upper()


@pytest.mark.parametrize(
    "text",
    [
        DIGITS,
        DIGITS.upper(),
        COLONS,
        COLONS.replace(":", " "),
        f"sha256:{DIGITS}",
        f"SHA-256: {COLONS}",
        f"sha256={DIGITS}",
        f"sha256 {DIGITS}\n",
        f"sha256 Fingerprint={COLONS}\n",  # openssl 3
        f"SHA256 Fingerprint={COLONS}",  # openssl 1.1
    ],
)
def test_a_sha256_fingerprint_in_every_form(text):
    assert fingerprints.read(text) == f"sha256:{DIGITS}"
    assert fingerprints.read(text, ["sha256"]) == f"sha256:{DIGITS}"
    with pytest.raises(ValueError, match=r"expected sha1: and 40 hexadecimal digits$"):
        fingerprints.read(text, ["sha1"])


def test_the_thumbprint_that_opcua_shows():
    for text in (DIGITS[:40].upper(), f"SHA1: {COLONS[:59]}", f"sha1 Fingerprint={COLONS[:59]}"):
        assert fingerprints.read(text) == f"sha1:{DIGITS[:40]}"


@pytest.mark.parametrize(
    "text", ["", " ", ":", f"sha1:{DIGITS}", DIGITS[:-1], f"{DIGITS}0", "sha256:xyz", f"md5:{DIGITS}"]
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="expected sha256: and 64 hexadecimal digits or sha1: and 40"):
        fingerprints.read(text)
