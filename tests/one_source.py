"""The configuration of one asset on one source, for tests of the commands that look at a source."""

YAML = """\
gateway: {{id: g}}
classes:
  a@1: {{tags: tags.csv, modes: {{always: running}}}}
assets:
  - {{id: x, class: a@1, period_s: {period_s}}}
sources:
  - {{id: plc, {options}}}
"""


def written(folder, options, csv, period_s=1.0):
    """Write it with the options of its source `plc`, and its tag list; the path of the file."""
    (folder / "tags.csv").write_text(csv)
    path = folder / "rig.yaml"
    path.write_text(YAML.format(options=options, period_s=period_s))
    return path
