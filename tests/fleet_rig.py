"""A gateway of a fleet for tests: a small configuration, keys, bundles, and the shelf that its daemon uses."""

import datetime
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.control.deploy import manifest as manifests
from agent.control.deploy.manifest import File, Manifest
from agent.control.deploy.orders import Place
from agent.control.deploy.shelf import Shelf
from agent.runtime.admission import keys

YAML = """\
gateway: {id: hall-2, managed: fleet, confirm_s: 8}
classes:
  any@1:
    tags: tags.csv
    modes: {always: running}
assets:
  - {id: machine, class: any@1, period_s: 0.2}
sources:
  - {id: plc, type: modbus, host: 127.0.0.1, port: 1}
sinks:
  - {type: mqtt, host: 127.0.0.1, port: PORT}
"""
CSV = "group,tag,address,type\na,b,input:0,uint16\n"
FILES = {"edgetwin.yaml": YAML, "tags.csv": CSV}
MADE = "2026-11-24T20:00:00Z"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
TRUSTED = [keys.Trusted("office", None, KEY.public_key())]


def bundle(version, files=FILES, gateway="hall-2", key=KEY, expires=None, **more):
    """A signed bundle of files given as texts or bytes by path."""
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    listed = tuple(File(path, hashlib.sha256(body).hexdigest(), len(body)) for path, body in contents.items())
    manifest = Manifest(version, gateway, "edgetwin.yaml", listed, MADE, **more)
    return manifests.signed(manifest, list(contents.values()), key, expires)


def place(folder):
    """A gateway that trusts KEY, with its own file beside it."""
    made = Place("hall-2", Shelf(folder / "state" / "fleet"), folder / "edgetwin.yaml")
    (folder / "state").mkdir(exist_ok=True)
    made.shelf.make()
    public = KEY.public_key().public_bytes(keys.PEM, keys.SPKI)
    (made.shelf.trusted / "office.pub").write_bytes(public)
    made.local.write_text(YAML)
    (folder / "tags.csv").write_text(CSV)
    return made


def hand_in(made, offered, name="x.bundle", **options):
    """Put a bundle where orders find it; its name."""
    (made.shelf.incoming / name).write_bytes(manifests.packed(offered, **options))
    return name
