"""Kinds of twin, one module or package each: `"kind": "physics"` in a file is `agent/twin/kinds/physics`."""
