"""What a server may be set to: versions, default models, devices and execution providers.

This module imports no ONNX Runtime.
"""

from __future__ import annotations

from typing import Literal

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT

# A request that names no model gets the default model of its task.
DEFAULT_OF_TASK = {TASK_CLASSIFY: "imagenet", TASK_SEGMENT: "foreground"}
DEFAULT_MODELS = tuple(DEFAULT_OF_TASK.values())

DEVICE_PATTERN = r"auto|cpu|cuda(:\d{1,3})?|cuda:\d{1,3}(,cuda:\d{1,3})+"
DEVICES = "auto, cpu, cuda, cuda:N, or several GPUs as cuda:0,cuda:1"
"""The devices as a text for messages."""

ProviderName = Literal["auto", "cpu", "openvino", "cuda", "tensorrt"]

Precision = Literal["auto", "fp32", "bf16", "int8"]
"""The precision of the classes and masks that a server answers with."""

ComputePrecision = Literal["fp32", "bf16"]
"""The numbers that a provider computes with; the files stay in float32."""
