"""ONNX Runtime without its telemetry: every other module imports `onnxruntime` from here.

Since version 1.29, at its import, ONNX Runtime writes a device id and a database of events into the folder
~/.cache/Microsoft, and sends the events to Microsoft. It reads ORT_DISABLE_TELEMETRY at its import only. A
user who wants the telemetry sets the variable to 0.
"""

from __future__ import annotations

import os

if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as onnxruntime
