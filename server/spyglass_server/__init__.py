"""The Spyglass server: models on ONNX Runtime behind gRPC.

Protocol code is thin and the middle knows no protocol: `servicers` → `dataplane` → `repository` → `model`
(card + `session` + `scheduler`), with `interceptors` around the calls. docs/architecture.md draws it.
"""
