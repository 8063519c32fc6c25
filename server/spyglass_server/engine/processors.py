"""The number of processors that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """Return the number of processors by affinity or by the control group's quota, the lesser; at least 1.

    A container on a 64-core host with a quota of two has two: as many threads as the host has cores would
    throttle each other. `root` is the folder that holds `proc` and `sys`.
    """
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return max(1, min(len(os.sched_getaffinity(0)), *(math.ceil(quota) for quota in quotas), 1 << 16))


def _quotas_v2(root: Path) -> list[float]:
    """Return the quotas in `cpu.max` of this group and of every group above it."""
    mount = root / "sys/fs/cgroup"
    quotas = []
    for group in _with_parents(_group(root, controller="")):
        fields = _read(mount / group / "cpu.max").split()
        if len(fields) == 2 and fields[0] != "max":
            quotas.append(int(fields[0]) / int(fields[1]))
    return quotas


def _quotas_v1(root: Path) -> list[float]:
    """Return the quotas in `cpu.cfs_quota_us`, if the old hierarchy is mounted."""
    mount = root / "sys/fs/cgroup/cpu"
    quotas = []
    for group in _with_parents(_group(root, controller="cpu")):
        quota, period = _read(mount / group / "cpu.cfs_quota_us"), _read(mount / group / "cpu.cfs_period_us")
        if quota and period and int(quota) > 0:
            quotas.append(int(quota) / int(period))
    return quotas


def _group(root: Path, controller: str) -> Path:
    """Return this process's control group, a path relative to the mount point of the hierarchy."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(path.lstrip("/"))
    return Path()


def _with_parents(group: Path) -> list[Path]:
    return [group, *group.parents]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
