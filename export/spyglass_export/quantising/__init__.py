"""Networks in int8: calibrated on images, compared with the original, and written only if they keep enough."""

# Turns the telemetry of ONNX Runtime off, before a module of this room imports its tools for quantisation.
import spyglass_contract.onnx_runtime as spyglass_onnx_runtime

__all__ = ["spyglass_onnx_runtime"]
