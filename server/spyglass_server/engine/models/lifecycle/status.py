"""The state of one version, as operators see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from spyglass.v1 import model_pb2
from spyglass.v1.model_pb2 import VersionStatus


class State(Enum):
    """The states of a version; the values are those of the message."""

    LOADING = model_pb2.VERSION_STATE_LOADING
    SERVING = model_pb2.VERSION_STATE_SERVING
    FAILED = model_pb2.VERSION_STATE_FAILED
    DRAINING = model_pb2.VERSION_STATE_DRAINING


@dataclass(frozen=True)
class Status:
    """The state of one version. A version that serves has a reason if its changed file was refused."""

    name: str
    version: int
    state: State
    # ISO 8601, UTC.
    changed: str
    reason: str = ""
    message: str = ""

    def to_message(self) -> VersionStatus:
        """Return the message of the status."""
        return VersionStatus(
            name=self.name,
            version=self.version,
            state=self.state.value,
            reason=self.reason,
            message=self.message,
            changed=self.changed,
        )


def now() -> str:
    """Return the time as ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
