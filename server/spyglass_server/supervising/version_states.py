"""The states of versions in several workers as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spyglass.v1.model_pb2 import (
    VERSION_STATE_DRAINING,
    VERSION_STATE_FAILED,
    VERSION_STATE_LOADING,
    VERSION_STATE_SERVING,
    VersionStatus,
)

# What an operator should see first.
_ORDER = (VERSION_STATE_FAILED, VERSION_STATE_LOADING, VERSION_STATE_SERVING)


def joined_states(states: Mapping[int, Iterable[VersionStatus]]) -> list[VersionStatus]:
    """Return each version once, in the state of the worker that is least ready, and once if it drains.

    `states` are those of the workers, by their numbers. If the workers differ, the message of a failure
    names the worker.
    """
    found: dict[tuple[str, int, bool], list[tuple[int, VersionStatus]]] = {}
    for worker, statuses in sorted(states.items()):
        for status in statuses:
            drains = status.state == VERSION_STATE_DRAINING
            found.setdefault((status.name, status.version, drains), []).append((worker, status))
    return [_worst(same, len(states)) for _, same in sorted(found.items())]


def _worst(statuses: list[tuple[int, VersionStatus]], workers: int) -> VersionStatus:
    worker, worst = min(statuses, key=lambda each: _rank(each[1]))
    joined = VersionStatus()
    joined.CopyFrom(worst)
    alike = [each for _, each in statuses if each.state == worst.state]
    if joined.message and len(alike) < workers:
        joined.message = f"worker {worker}: {joined.message}"
    joined.changed = max(each.changed for each in alike)
    return joined


def _rank(status: VersionStatus) -> int:
    return _ORDER.index(status.state) if status.state in _ORDER else len(_ORDER)
