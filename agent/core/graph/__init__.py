"""A computing graph read from the bytes of an ONNX file, checked, and evaluated with numpy. No onnx, no onnxruntime.

`reading` makes a `Graph` of bytes, strictly; `limits` says what of it may run here; `evaluation` runs it.
"""
