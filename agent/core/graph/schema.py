"""The messages of an ONNX file, field by field (onnx.proto of IR version 13, https://github.com/onnx/onnx).

What only tells people something is SKIPPED. What is not here (training, sparse tensors, functions, devices) makes
`protobuf.parse` refuse a file, or has a word of its own in `reading`.
"""

from __future__ import annotations

from agent.core.graph.protobuf import DOUBLE, OCTETS, SINGLE, SKIPPED, TEXT, WHOLE, Field

ENTRY = {1: Field("key", TEXT), 2: Field("value", TEXT)}

TENSOR = {
    1: Field("dims", WHOLE, many=True),
    2: Field("type", WHOLE),
    4: Field("singles", SINGLE, many=True),
    5: Field("wholes4", WHOLE, many=True),
    6: Field("texts", SKIPPED, many=True),
    7: Field("wholes8", WHOLE, many=True),
    8: Field("name", TEXT),
    9: Field("raw", OCTETS),
    10: Field("doubles", DOUBLE, many=True),
    12: Field("doc", SKIPPED),
    13: Field("external", SKIPPED, many=True),
    14: Field("location", WHOLE),
}

ATTRIBUTE = {
    1: Field("name", TEXT),
    2: Field("f", SINGLE),
    3: Field("i", WHOLE),
    4: Field("s", OCTETS),
    5: Field("t", TENSOR),
    6: Field("graph", SKIPPED),
    7: Field("floats", SINGLE, many=True),
    8: Field("ints", WHOLE, many=True),
    9: Field("strings", OCTETS, many=True),
    10: Field("tensors", SKIPPED, many=True),
    11: Field("graphs", SKIPPED, many=True),
    13: Field("doc", SKIPPED),
    20: Field("type", WHOLE),
    21: Field("reference", TEXT),
    22: Field("sparse", SKIPPED),
    23: Field("sparses", SKIPPED, many=True),
}

NODE = {
    1: Field("inputs", TEXT, many=True),
    2: Field("outputs", TEXT, many=True),
    3: Field("name", TEXT),
    4: Field("operator", TEXT),
    5: Field("attributes", ATTRIBUTE, many=True),
    6: Field("doc", SKIPPED),
    7: Field("domain", TEXT),
    9: Field("props", SKIPPED, many=True),
}

DIMENSION = {1: Field("value", WHOLE), 2: Field("param", TEXT), 3: Field("denotation", SKIPPED)}
SHAPE = {1: Field("dims", DIMENSION, many=True)}
TENSOR_TYPE = {1: Field("element", WHOLE), 2: Field("shape", SHAPE)}
TYPE = {
    1: Field("tensor", TENSOR_TYPE),
    4: Field("sequence", SKIPPED),
    5: Field("map", SKIPPED),
    6: Field("denotation", SKIPPED),
    8: Field("sparse", SKIPPED),
    9: Field("optional", SKIPPED),
}
PORT = {1: Field("name", TEXT), 2: Field("type", TYPE), 3: Field("doc", SKIPPED), 4: Field("props", SKIPPED, many=True)}

GRAPH = {
    1: Field("nodes", NODE, many=True),
    2: Field("name", TEXT),
    5: Field("initializers", TENSOR, many=True),
    10: Field("doc", SKIPPED),
    11: Field("inputs", PORT, many=True),
    12: Field("outputs", PORT, many=True),
    13: Field("between", SKIPPED, many=True),
    15: Field("sparse", SKIPPED, many=True),
    16: Field("props", SKIPPED, many=True),
}

OPSET = {1: Field("domain", TEXT), 2: Field("version", WHOLE)}

MODEL = {
    1: Field("ir_version", WHOLE),
    2: Field("producer", TEXT),
    3: Field("producer_version", TEXT),
    4: Field("domain", TEXT),
    5: Field("version", WHOLE),
    6: Field("doc", SKIPPED),
    7: Field("graph", GRAPH),
    8: Field("opsets", OPSET, many=True),
    14: Field("props", ENTRY, many=True),
    20: Field("training", SKIPPED, many=True),
    25: Field("functions", SKIPPED, many=True),
}
