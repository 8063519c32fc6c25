"""The processor of this machine: its name and what it can do."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from spyglass_server.engine.capacity.control_groups import read

# The fields of /proc/cpuinfo that choose the code of a runtime, on x86 and on Arm. The others differ from
# core to core or from moment to moment.
_FIELDS = frozenset(
    (
        "vendor_id",
        "cpu family",
        "model",
        "model name",
        "stepping",
        "flags",
        "Features",
        "CPU implementer",
        "CPU architecture",
        "CPU variant",
        "CPU part",
    )
)


def processor(root: Path = Path("/")) -> str:
    """Return the name of the processor and a hash of its model and flags.

    `root` is the folder that holds `proc`.
    """
    first = read(root / "proc/cpuinfo").partition("\n\n")[0]
    pairs = [line.partition(":") for line in first.splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in pairs if name.strip() in _FIELDS}
    name = fields.get("model name") or platform.processor() or platform.machine()
    found = "\n".join(f"{key}: {value}" for key, value in sorted(fields.items()))
    return f"{name[:100]} {hashlib.sha256(found.encode()).hexdigest()[:16]}"
