"""Bundles: what is signed counts, whatever else is done to them."""

import json
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fleet_rig import KEY, NOW, TRUSTED, bundle
from hypothesis import given
from hypothesis import strategies as st

from agent.control.deploy import manifest as manifests
from agent.runtime.admission import signature


def test_a_bundle_comes_out_as_it_went_in_plain_or_compressed():
    made = bundle(7, not_before="2026-12-01T02:00:00Z")
    plain = manifests.packed(made)
    for content in (plain, zlib.compress(plain)):
        back = manifests.opened(content)
        assert back.files == made.files
        manifest, who = manifests.verified(back, TRUSTED, NOW)
        assert (manifest.version, manifest.gateway, manifest.not_before) == (7, "hall-2", "2026-12-01T02:00:00Z")
        assert who.startswith("office (")


def test_without_its_files_it_still_says_which_they_are():
    back = manifests.opened(manifests.packed(bundle(1), with_files=False))
    assert back.files == {}
    assert {f.path for f in manifests.verified(back, TRUSTED, NOW)[0].files} == {"edgetwin.yaml", "tags.csv"}


def test_a_key_that_is_not_trusted_is_named_with_what_to_type():
    made = bundle(1, key=Ed25519PrivateKey.generate())
    with pytest.raises(ValueError, match=r"not trusted here; if it should be: edgetwin fleet trust KEY\.pub"):
        manifests.verified(made, TRUSTED, NOW)


def test_a_signature_of_a_model_does_not_count_for_a_version():
    made = bundle(1)
    of_model = signature.signed(made.text.encode(), KEY, "2026-11-24T20:00:00Z")
    with pytest.raises(ValueError, match="made up or changed"):
        manifests.verified(manifests.Bundle(made.text, of_model, made.files), TRUSTED, NOW)


def test_an_expired_one_says_when_and_what_time_it_is_here():
    with pytest.raises(signature.Expired, match=r"expired 2026-11-24T23:00:00Z; it is 2026-11-25T00:00:00Z here"):
        manifests.verified(bundle(1, expires="2026-11-24T23:00:00Z"), TRUSTED, NOW)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../edgetwin.yaml", "path"),
        ("/etc/passwd.yaml", "path"),
        ("a/../../b.csv", "path"),
        (".hidden.csv", "path"),
        ("manifest.json", "path"),
        ("a\\b.csv", "path"),
        ("run.sh", "no configuration and no model"),
        ("key.pem", "no configuration and no model"),
        ("TAGS.csv", "one path twice"),
    ],
)
def test_a_path_cannot_leave_its_folder_nor_be_what_is_run(path, why):
    files = {"edgetwin.yaml": "a: 1", "tags.csv": "x", path: "y"}
    with pytest.raises(ValueError, match=why):
        manifests.verified(bundle(1, files), TRUSTED, NOW)


@pytest.mark.parametrize("change", [{"version": 0}, {"version": True}, {"gateway": 3}, {"adopts": "yes"}, {"more": 1}])
def test_values_of_other_types_are_refused(change):
    tree = {**json.loads(bundle(1).text), **change}
    with pytest.raises(ValueError, match="its manifest cannot be used"):
        manifests.read(json.dumps(tree))


@given(st.data())
def test_whatever_is_changed_in_a_bundle_the_manifest_is_the_one_that_was_signed_or_there_is_none(data):
    made = bundle(3)
    content = bytearray(manifests.packed(made))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))]) if data.draw(st.booleans()) else bytes(content)
    try:
        manifest, _ = manifests.verified(manifests.opened(content), TRUSTED, NOW)
    except ValueError:
        return
    assert manifest == manifests.read(made.text)


@given(st.binary(max_size=300))
def test_garbage_is_no_bundle(content):
    with pytest.raises(ValueError, match="no bundle"):
        manifests.opened(content)


def test_a_few_bytes_cannot_stand_for_all_the_memory(monkeypatch):
    monkeypatch.setattr(manifests, "LARGEST_BUNDLE", 1_000_000)
    with pytest.raises(ValueError, match="no bundle"):
        manifests.opened(zlib.compress(b'{"manifest":"' + b" " * 3_000_000))
