"""A small configuration for tests, with drivers, sinks and models that are only there in name."""

from pathlib import Path
from types import SimpleNamespace
from typing import Literal

from agent.config import kinds
from agent.config.model import Model
from agent.core.nouns import Meter, Point, Role

YAML = """\
gateway: {id: g1}
state_dir: state
classes:
  rig@1:
    tags: rig.csv
    sources: [plc, drive]
    modes: {tag: drive/state, words: {0: off, 2: running}}
    context: {product: process/product}
    limits:
      - tag: lower/level
        high: 0.4
        hysteresis: 0.01
        category: alarm
        priority: high
        consequence: It overflows
        response: Stop the pump
        respond_within_s: 60
      - {tag: pump/flow, low: 0.1}
assets:
  - {id: a, name: Rig A, path: [Site, Hall], class: rig@1, sources: {plc: plc1, drive: plc2}}
sources:
  - {id: plc1, type: modbus, host: 127.0.0.1}
  - {id: plc2, type: opcua, host: 127.0.0.1}
sinks:
  - {type: mqtt, port: 1883}
"""

CSV = """\
group,tag,source,address,type,scale,eu_lo,eu_hi,unit,enum
lower,level,plc,input:0,float32,,0,0.6,m,
pump,flow,plc,input:2,float32,,0,3,m3/h,
motor,current,drive,s=current,,,0,2,A,
drive,state,plc,input:40,uint16,,,,,0=off;2=running
process,product,drive,s=product,string,,,,,
"""

# Two assets of the class, the second with overrides; then the same with a model.
TWO = YAML.replace(
    "sources:\n  - {id: plc1",
    "  - id: b\n    class: rig@1\n    sources: {plc: plc1, drive: plc1}\n    period_s: 0.5\n    overrides:\n"
    "      limits: {lower/level.high: {high: 0.5, message: Full}}\n"
    "      tags: {pump/flow: {address: input:102, scan: 5, eu_hi: 4}}\n"
    "      residuals: {on_delay_s: 9}\n      summary_s: 30\nsources:\n  - {id: plc1",
)
TWIN = TWO.replace("assets:", "    models: [{name: twin, type: twin, file: twin.twin, every: 2}]\nassets:")
CONTENT = b"tags lower/level motor/current\nunits m A"


class Driver(Model):
    id: str
    type: str
    host: str | None = None
    port: int = 502


class Feed(Model):
    type: str
    socket: Path
    group: str | None = None


class Sink(Model):
    id: str = "mqtt"
    type: Literal["mqtt"]
    port: int = 1883


def check(config, tags):
    return [(n, f"address {t.address!r} is wrong, expected another") for n, t in enumerate(tags) if "!" in t.address]


class Twin:
    """A model file is lines: `tags a/b c/d`, `units m A`, `modes running`."""

    __name__ = "fake.twin"

    @staticmethod
    def load(content):
        words = [line.split() for line in content.decode("utf-8", "replace").splitlines()]
        found = {w[0]: tuple(w[1:]) for w in words if w}
        if "tags" not in found:
            raise ValueError("no tags in it, expected a line of them")
        return SimpleNamespace(
            tags=found["tags"],
            units=found.get("units", ("",) * len(found["tags"])),
            modes=found.get("modes", ("running",)),
            settle_s=7.0,
            period_s=1.0,
        )

    @staticmethod
    def points(params):
        out = []
        for tag, unit in zip(params.tags, params.units, strict=True):
            out.append(Point(f"{tag}.expected", Role.EXPECTED, tag, unit=unit))
            out.append(Point(f"{tag}.deviation", Role.DEVIATION, tag))
        return tuple(out)

    init = step = None


def real_kinds_in_name(monkeypatch):
    """Put the fakes in the place of drivers, sinks and models."""

    def found(modules):
        def find(name):
            if name not in modules:
                raise kinds.NoKind(f"type is {name!r}{kinds.hint(name, modules)}")
            return modules[name]

        return find

    def meters(config):
        return (Meter("pending"), Meter("taken_over"))

    sink, feed = SimpleNamespace(Config=Sink, run=None, meters=meters), SimpleNamespace(Config=Feed, run=None)
    driver = SimpleNamespace(Config=Driver, run=None, check=check)
    monkeypatch.setattr(kinds, "driver", found({"modbus": driver, "opcua": driver, "self": driver}))
    monkeypatch.setattr(kinds, "sink", found({"mqtt": sink, "feed": feed}))
    monkeypatch.setattr(kinds, "model", found({"twin": Twin}))


def write(folder, yaml=YAML, csv=CSV, **models):
    """The path of the configuration with its files beside it; models are name=content for name.twin."""
    (folder / "rig.csv").write_text(csv)
    for name, content in models.items():
        (folder / f"{name}.twin").write_bytes(content)
    path = folder / "rig.yaml"
    path.write_text(yaml)
    return path
