"""The number of processors that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

from spyglass_server.engine.capacity.control_groups import values_v1, values_v2


def usable_cpus(root: Path = Path("/")) -> int:
    """Return the number of processors by affinity or by the control group's quota, the lesser; at least 1.

    A container on a 64-core host with a quota of two has two: as many threads as the host has cores would
    throttle each other. `root` is the folder that holds `proc` and `sys`.
    """
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return max(1, min(len(os.sched_getaffinity(0)), *(math.ceil(quota) for quota in quotas), 1 << 16))


def _quotas_v2(root: Path) -> list[float]:
    """Return the quotas in `cpu.max` of this group and of every group above it."""
    fields = [value.split() for value in values_v2(root, "cpu.max")]
    return [int(pair[0]) / int(pair[1]) for pair in fields if len(pair) == 2 and pair[0] != "max"]


def _quotas_v1(root: Path) -> list[float]:
    """Return the quotas in `cpu.cfs_quota_us`, if the old hierarchy is mounted."""
    quotas = values_v1(root, "cpu", "cpu.cfs_quota_us")
    periods = values_v1(root, "cpu", "cpu.cfs_period_us")
    return [
        int(quota) / int(period) for quota, period in zip(quotas, periods, strict=False) if int(quota) > 0
    ]
