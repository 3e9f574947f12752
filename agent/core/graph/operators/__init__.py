"""The operators in numpy, each `f(node, opset, *inputs) -> array or tuple of arrays`, as https://onnx.ai/onnx/operators
defines them for the versions that `reading` lets through. An input left out is None.
"""
