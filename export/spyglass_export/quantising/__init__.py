"""Networks in int8: calibrated on images, and written only if they keep the classes of held-out ones."""

# Turns the telemetry of ONNX Runtime off, before a module of this room imports its tools for quantisation.
import spyglass_contract.onnx_runtime as _onnx_runtime  # noqa: F401
