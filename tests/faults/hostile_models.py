"""Model files that would do harm or mislead, each as (name, bytes, words of its refusal)."""

import gzip
import io
import zipfile

import detect_models as models
import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

F, L = TensorProto.FLOAT, TensorProto.INT64
WINDOW, TAGS = models.SHAPE.window, len(models.TAGS)


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


def file(nodes=(), constants=(), extra=None, opset=17, change=None, says=None):
    """A small detector; `extra` names a value that is added to its score, so that nothing can leave it out."""
    score = [node("ReduceMax", ["size"], ["score" if extra is None else "plain"], axes=[1, 2], keepdims=0)]
    if extra is not None:
        score += [
            node("ReduceMax", [extra], ["more"], keepdims=0),
            node("Add", ["plain", "more"], ["score"]),
        ]
    graph = helper.make_graph(
        [
            node("Abs", ["window"], ["size"]),
            node("ReduceMax", ["size"], ["contribution"], axes=[1], keepdims=0),
            *nodes,
            *score,
        ],
        "hostile",
        [helper.make_tensor_value_info("window", F, ["N", WINDOW, TAGS])],
        [
            helper.make_tensor_value_info("score", F, ["N"]),
            helper.make_tensor_value_info("contribution", F, ["N", TAGS]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(made, says or models.about().props())
    if change is not None:
        change(made)
    return made.SerializeToString()


def one(operator, *inputs, outputs=("evil",), constants=(), **attributes):
    """A detector with one operator more."""
    return file([node(operator, list(inputs), list(outputs), **attributes)], constants, extra=outputs[0])


def changed(change, **more):
    return file(change=change, **more)


def whole(*values):
    return np.array(values, np.int64)


def grown_by_products():
    """24 values, 24^2, 24^4, 24^8: a few bytes for 440 GB."""
    steps, at = [node("Reshape", ["window", "column"], ["v0"])], "v0"
    for n in range(3):
        steps += [
            node("Reshape", [at, "column"], [f"c{n}"]),
            node("Reshape", [at, "row"], [f"r{n}"]),
            node("MatMul", [f"c{n}", f"r{n}"], [f"v{n + 1}"]),
        ]
        at = f"v{n + 1}"
    return file(steps, {"column": whole(-1, 1), "row": whole(1, -1)}, extra=at)


def doubled(times):
    steps = [node("Concat", [f"v{n}", f"v{n}"], [f"v{n + 1}"], axis=0) for n in range(times)]
    return file([node("Identity", ["window"], ["v0"]), *steps], extra=f"v{times}")


def spread():
    """[k, 1] + [1, k]."""
    k = 40_000
    steps = [node("Add", ["a", "b"], ["evil"])]
    return file(steps, {"a": np.ones((k, 1), np.float32), "b": np.ones((1, k), np.float32)}, extra="evil")


def gathered():
    steps = [
        node("Gather", ["window", "many"], ["g"], axis=1),
        node("Gather", ["g", "many"], ["evil"], axis=2),
    ]
    return file(steps, {"many": np.zeros(6000, np.int32)}, extra="evil")


def padded(width):
    steps = [
        node("Reshape", ["window", "square"], ["v"]),
        node("Conv", ["v", "w"], ["evil"], pads=[width] * 4),
    ]
    return file(steps, {"square": whole(1, 1, -1, 3), "w": np.ones((1, 1, 1, 1), np.float32)}, extra="evil")


def trees(targets):
    steps = [
        node("Reshape", ["window", "rows"], ["v"]),
        helper.make_node(
            "TreeEnsembleRegressor", ["v"], ["evil"], domain="ai.onnx.ml", n_targets=targets, nodes_treeids=[0],
            nodes_nodeids=[0], nodes_featureids=[0], nodes_values=[0.0], nodes_modes=["LEAF"],
            nodes_truenodeids=[0], nodes_falsenodeids=[0], target_treeids=[0], target_nodeids=[0], target_ids=[0],
            target_weights=[1.0],
        ),
    ]  # fmt: skip
    content = ModelProto.FromString(file(steps, {"rows": whole(1, -1)}, extra="evil"))
    content.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return content.SerializeToString()


def slow():
    """Products of 2000 x 2000 matrices, 16 GFLOP each, from 16 KB of weights."""
    steps, at = [node("MatMul", ["a", "b"], ["m0"])], "m0"
    for n in range(400):
        steps.append(node("MatMul", [at, "m0"], [f"m{n + 1}"]))
        at = f"m{n + 1}"
    # The window goes in, so that nothing can be computed beforehand and left out.
    steps[0] = node("MatMul", ["a", "b"], ["bare"])
    steps.insert(1, node("ReduceMax", ["window"], ["seen"], keepdims=0))
    steps.insert(2, node("Add", ["bare", "seen"], ["m0"]))
    constants = {"a": np.full((2000, 1), 1e-4, np.float32), "b": np.full((1, 2000), 1e-4, np.float32)}
    return file(steps, constants, extra=at)


def tensor(dims, raw=b"\0" * 12, kind=F, **fields):
    made = TensorProto(name="evil", data_type=kind, raw_data=raw, **fields)
    made.dims.extend(dims)
    return made


def with_tensor(*arguments, **fields):
    return changed(lambda m: m.graph.initializer.append(tensor(*arguments, **fields)))


def external(location):
    def move(model):
        made = tensor([3], b"", data_location=TensorProto.EXTERNAL)
        made.ClearField("raw_data")
        entry = made.external_data.add()
        entry.key, entry.value = "location", location
        model.graph.initializer.append(made)

    return changed(move)


def external_attribute():
    made = tensor([3], b"", data_location=TensorProto.EXTERNAL)
    entry = made.external_data.add()
    entry.key, entry.value = "location", "/etc/shadow"
    return one("Constant", value=made)


def with_graph(operator):
    body = helper.make_graph([], "body", [], [])
    names = {"If": ("then_branch", "else_branch")}.get(operator, ("body",))
    more = {"num_scan_inputs": 1} if operator == "Scan" else {}
    inputs = {"Loop": ["times", "", "window"], "Scan": ["window"], "If": ["yes"]}[operator]
    steps = [node(operator, inputs, ["evil"], **dict.fromkeys(names, body), **more)]
    return file(steps, {"times": np.int64(10**15), "yes": np.array(True)}, extra="evil")


def sparse(model):
    made = model.graph.sparse_initializer.add()
    made.values.CopyFrom(tensor([1], b"\0" * 4))
    made.indices.CopyFrom(helper.make_tensor("i", L, [1], [2**40]))
    made.dims.append(2**41)


def function(model):
    model.functions.add(name="Evil", domain="ai.onnx").node.append(node("Evil", ["x"], ["y"]))


def opsets(*pairs):
    def change(model):
        model.ClearField("opset_import")
        model.opset_import.extend([helper.make_opsetid(*pair) for pair in pairs])

    return changed(change)


def port(number, kind, shape):
    def change(model):
        model.graph.input[number].CopyFrom(helper.make_tensor_value_info("window", kind, shape))

    return changed(change)


def ends(operator, *inputs, constants=(), **attributes):
    """Another score: what `operator` makes of the inputs."""

    def change(model):
        (place,) = [n for n in model.graph.node if "score" in n.output]
        place.output[0] = "plain"
        model.graph.node.append(node(operator, list(inputs), ["score"], **attributes))

    return changed(change, constants=constants)


def circle(model):
    model.graph.node.append(node("Add", ["b", "size"], ["a"]))
    model.graph.node.append(node("Add", ["a", "size"], ["b"]))


def metadata(**changes):
    props = models.about().props() | {f"edgetwin.{name}": value for name, value in changes.items()}
    return file(says=props)


def props_twice(model):
    entry = model.metadata_props.add()
    entry.key, entry.value = "edgetwin.limit", "1e9"


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def message(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def nested(depth):
    """A type of sequences of sequences, as the input's."""
    inner = b""
    for _ in range(depth):
        inner = message(4, message(1, inner))
    return message(7, message(11, message(1, b"window") + message(2, inner)))


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model", b"\0" * 10**7)
    return out.getvalue()


def F1(value):  # noqa: N802
    return np.float32(value)


def some_nan():
    """A number for a window of zeros, none for windows below zero."""
    steps = [node("Sqrt", ["window"], ["root"]), node("ReduceSum", ["root"], ["evil"], keepdims=0)]
    return file(steps, extra="evil")


def never_alarms():
    """A detector that finds everything healthy."""

    def change(model):
        for each in model.graph.node:
            for n, name in enumerate(each.output):
                if name in ("score", "contribution"):
                    each.output[n] = f"true_{name}"
        model.graph.node.append(node("Mul", ["true_score", "nought"], ["score"]))
        model.graph.node.append(node("Mul", ["true_contribution", "nought"], ["contribution"]))

    return changed(change, constants={"nought": F1(0)})


GOOD = file()
CASES = [
    # Memory.
    ("constant-of-shape", lambda: one("ConstantOfShape", "big", constants={"big": whole(2**30)}), "ConstantOfShape"),
    ("expand", lambda: one("Expand", "window", "big", constants={"big": whole(10**6, 8, 3)}), "operator Expand"),
    ("tile", lambda: one("Tile", "window", "big", constants={"big": whole(10**6, 1, 1)}), "operator Tile"),
    ("range", lambda: one("Range", "a", "b", "c", constants={"a": F1(0), "b": F1(1e9), "c": F1(1)}), "operator Range"),
    ("pad", lambda: one("Pad", "window", "p", constants={"p": whole(0, 0, 0, 10**9, 0, 0)}), "operator Pad"),
    ("one-hot", lambda: one("OneHot", "i", "d", "v", constants={"i": whole(1), "d": whole(10**9), "v": whole(0, 1)}),
     "operator OneHot"),
    ("random", lambda: one("RandomNormal", shape=[2**30]), "operator RandomNormal"),
    ("eye", lambda: one("EyeLike", "window"), "operator EyeLike"),
    ("grown-by-products", grown_by_products, r"MatMul \(which makes v3\): makes 110075314176 values"),
    ("grown-by-concat", lambda: doubled(40), r"Concat .* makes \d+ values, expected at most"),
    ("grown-by-addition", spread, r"Add .* makes 1600000000 values"),
    ("grown-by-gather", gathered, r"Gather .* makes 36000000 values"),
    ("grown-by-pads", lambda: padded(4096), r"Conv .* makes \d+ values"),
    ("pads-beyond-all", lambda: padded(10**9), "pads is"),
    ("pads-below-zero", lambda: padded(-1), "pads is"),
    ("trees-with-many-targets", lambda: trees(10**9), "n_targets is 1000000000"),
    ("dimensions-without-values", lambda: with_tensor([2**28]), "holds 3 values, but its dimensions"),
    ("dimensions-that-overflow", lambda: with_tensor([2**31 - 1] * 4), "holds 3 values, but its dimensions"),
    ("dimension-2^63", lambda: with_tensor([2**63 - 1]), "has dimensions"),
    ("dimension-below-zero", lambda: with_tensor([-3, -1]), "has dimensions"),
    ("dimensions-too-many", lambda: with_tensor([1] * 60 + [3]), "has dimensions"),
    # Time.
    ("loop", lambda: with_graph("Loop"), "subgraphs"),
    ("scan", lambda: with_graph("Scan"), "subgraphs"),
    ("if", lambda: with_graph("If"), "subgraphs"),
    ("slow", slow, "took too long|took longer"),
    ("nodes-too-many", lambda: file([node("Identity", ["window"], [f"v{n}"]) for n in range(5000)]), "nodes, expected"),
    # What lies elsewhere, or is another program.
    ("external-beside", lambda: external("weights.bin"), "in other files"),
    ("external-above", lambda: external("../../secret"), "in other files"),
    ("external-absolute", lambda: external("/etc/shadow"), "in other files"),
    ("external-attribute", external_attribute, "in other files"),
    ("sparse", lambda: changed(sparse), "sparse tensors"),
    ("function", lambda: changed(function), "functions"),
    ("foreign-operator", lambda: one("Add", "window", "window", domain="com.evil"), r"operator com\.evil\.Add"),
    ("foreign-domain", lambda: opsets(("", 17), ("com.microsoft", 1)), "com.microsoft are not known"),
    ("opset-of-old", lambda: opsets(("", 7)), "in version 7, expected 13"),
    ("opset-to-come", lambda: opsets(("", 99)), "in version 99"),
    ("opset-twice", lambda: opsets(("", 17), ("ai.onnx", 18)), "twice"),
    ("opset-missing", lambda: opsets(), "does not say which version"),
    ("ir-of-old", lambda: changed(lambda m: setattr(m, "ir_version", 2)), "IR version 2"),
    ("string-tensor", lambda: changed(
        lambda m: m.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [1], [b"x" * 1000]))),
     "of type string"),
    ("tensor-of-another-type", lambda: changed(lambda m: m.graph.initializer.append(
        TensorProto(name="s", data_type=F, dims=[2], int64_data=[1, 2]))), "another type than it states"),
    ("cast-to-text", lambda: one("Cast", "window", to=TensorProto.STRING), "casts to string"),
    # Shapes and types.
    ("window-of-another-size", lambda: port(0, F, ["N", 9, 3]), r"expected one tensor\(float\)|Got invalid dim"),
    ("window-of-doubles", lambda: port(0, TensorProto.DOUBLE, ["N", 8, 3]), r"expected one tensor\(float\)|refuses it"),
    ("score-of-another-shape", lambda: ends("Reshape", "plain", "to", constants={"to": whole(1, 1)}), "shapes|refuses"),
    ("output-missing", lambda: changed(lambda m: m.graph.output.pop()), "expected score"),
    ("output-from-nothing", lambda: changed(lambda m: setattr(m.graph.output[0], "name", "air")), "made by nothing"),
    ("input-too-many", lambda: changed(lambda m: m.graph.input.append(helper.make_tensor_value_info("x", F, [1]))),
     "expected one tensor"),
    # Numbers.
    ("nan", lambda: ends("Add", "plain", "nan", constants={"nan": F1("nan")}), "finite"),
    ("infinite", lambda: ends("Mul", "plain", "inf", constants={"inf": F1("inf")}), "finite"),
    ("nan-for-some", some_nan, "finite"),
    ("never-alarms", never_alarms, "the same whatever it reads"),
    ("whole-division", lambda: file(
        [node("Cast", ["window"], ["i"], to=L), node("Div", ["least", "i"], ["d"]),
         node("Cast", ["d"], ["evil"], to=F)],
        {"least": whole(-(2**63))}, extra="evil"), "divides whole numbers"),
    # Graphs that are none.
    ("circle", lambda: changed(circle), "in a circle"),
    ("made-twice", lambda: changed(lambda m: m.graph.node.append(node("Neg", ["window"], ["size"]))), "made twice"),
    ("from-nowhere", lambda: changed(lambda m: m.graph.node.append(node("Neg", ["air"], ["x"]))), "nothing makes"),
    ("empty", lambda: changed(lambda m: m.graph.ClearField("node")), "no nodes"),
    ("input-with-a-value", lambda: changed(lambda m: m.graph.initializer.append(
        numpy_helper.from_array(np.zeros((1, 8, 3), np.float32), "window"))), "made twice"),
    ("attribute-of-another-type", lambda: changed(lambda m: setattr(m.graph.node[1].attribute[0], "type", 1)),
     "not of the type"),
    # Bytes.
    ("nothing", lambda: b"", "no graph"),
    ("cut-short", lambda: GOOD[: len(GOOD) // 2], "cut short"),
    ("random", lambda: np.random.default_rng(5).bytes(4096), "not an ONNX file"),
    ("zip", zipped, "not an ONNX file"),
    ("gzip", lambda: gzip.compress(b"\0" * 10**7), "not an ONNX file"),
    ("two-graphs", lambda: GOOD + message(7, b""), "twice"),
    ("unknown-field", lambda: GOOD + message(99, b"x"), "not known here"),
    ("groups", lambda: b"\x3b" * 10**6, "cut short|wire type|not an ONNX file"),
    ("nested-types", lambda: nested(10_000), "IR version 0|no tensor"),
    ("fields-too-many", lambda: b"\x08\x08" + message(7, b"\x22\x00" * 10) + message(7, b"\x6a\x00" * 3_000_000),
     "twice|fields|not known"),
    ("fields-without-end", lambda: message(7, b"\x6a\x00" * 3_000_000), "more than 1000000 fields|took too long"),
    ("overlong-number", lambda: b"\x08" + b"\xff" * 9 + b"\x7f" + GOOD, "cut short"),
    ("too-large", lambda: GOOD + b"\x00" * 2**24, "expected at most 16777216"),
    # What it says of itself.
    ("metadata-deep", lambda: metadata(threshold="[" * 200_000 + "]" * 200_000), "metadata threshold"),
    ("metadata-huge", lambda: metadata(features='{"a": "' + "x" * 2**21 + '"}'), "metadata of"),
    ("metadata-of-another-type", lambda: metadata(tags='{"a": 1}'), "metadata tags"),
    ("metadata-twice", lambda: changed(props_twice), "stands there twice"),
    ("metadata-nan", lambda: metadata(limit="NaN"), "metadata limit"),
    ("metadata-window", lambda: metadata(window="1000000000"), "metadata window"),
    ("metadata-none", lambda: changed(lambda m: m.ClearField("metadata_props")), "no edgetwin metadata"),
]  # fmt: skip
