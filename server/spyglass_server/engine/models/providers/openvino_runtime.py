"""OpenVINO without its telemetry: every other module imports `openvino` from here.

At its import OpenVINO writes a client id into the folder ~/intel, and sends an event to Intel by Google
Analytics. It takes a stub instead if the package `openvino_telemetry` cannot be imported.
"""

from __future__ import annotations

import sys
from typing import Any

_TELEMETRY = "openvino_telemetry"

_modules: dict[str, Any] = sys.modules
_loaded = _modules.get(_TELEMETRY)
# None makes an import of the package fail.
_modules[_TELEMETRY] = None
try:
    import openvino as openvino
finally:
    if _loaded is None:
        del _modules[_TELEMETRY]
    else:
        _modules[_TELEMETRY] = _loaded
