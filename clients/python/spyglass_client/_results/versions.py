"""The versions of models that a server knows, with their states, labels and traffic shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from spyglass.v1 import model_pb2
from spyglass.v1.model_pb2 import VersionSelector

VersionState = Literal["loading", "serving", "failed", "draining", "unknown"]

TrafficKey = Literal["request", "caller"]
"""What decides whether a request belongs to a traffic share: its `id`, or who calls."""

Selector = int | str
"""A version of a model by its number, or by its label."""

TRAFFIC_KEYS: dict[TrafficKey, model_pb2.TrafficKey.ValueType] = {
    "request": model_pb2.TRAFFIC_KEY_REQUEST,
    "caller": model_pb2.TRAFFIC_KEY_CALLER,
}
_STATES: dict[int, VersionState] = {
    model_pb2.VERSION_STATE_LOADING: "loading",
    model_pb2.VERSION_STATE_SERVING: "serving",
    model_pb2.VERSION_STATE_FAILED: "failed",
    model_pb2.VERSION_STATE_DRAINING: "draining",
}


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version of a model.

    `reason`, for programs, and `message`, for people, say why the server refused the file. A version that is
    "serving" has them if the server refused a changed file and still serves the old one.
    """

    name: str
    version: int
    state: VersionState
    reason: str = ""
    message: str = ""
    # The time of the last change of the state: ISO 8601, UTC.
    changed: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class TrafficShare:
    """A part of the requests for the label or version `source`, which `target` answers."""

    source: Selector
    target: Selector
    # Above 0, at most 100.
    percent: float
    # Requests of one key all go to the source, or all to the target.
    sticky: TrafficKey = "request"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class Routing:
    """The labels and the traffic shares of one model."""

    name: str
    # The version of each label. A request that names neither a version nor a label gets that of `stable`.
    labels: Mapping[str, int] = field(default_factory=dict)
    traffic: tuple[TrafficShare, ...] = ()
    # Why the server could not read the file with both: those before stay. Empty: it could.
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {
            "name": self.name,
            "labels": dict(self.labels),
            "traffic": [share.to_dict() for share in self.traffic],
            "problem": self.problem,
        }


@dataclass(frozen=True)
class ModelVersions:
    """Every version that a server knows, and the routings of the models that have any."""

    versions: tuple[VersionStatus, ...]
    routings: tuple[Routing, ...]

    def routing(self, name: str) -> Routing:
        """Return the labels and traffic shares of a model, empty if it has none."""
        return next((routing for routing in self.routings if routing.name == name), Routing(name))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {
            "versions": [status.to_dict() for status in self.versions],
            "routings": [routing.to_dict() for routing in self.routings],
        }


class _WithVersions(Protocol):
    """The response of a call that lists versions."""

    @property
    def versions(self) -> Iterable[model_pb2.VersionStatus]: ...

    @property
    def routings(self) -> Iterable[model_pb2.Routing]: ...


def read_versions(reply: _WithVersions) -> ModelVersions:
    """Return what a response lists, in the server's order."""
    return ModelVersions(read_statuses(reply.versions), tuple(map(read_routing, reply.routings)))


def read_statuses(messages: Iterable[model_pb2.VersionStatus]) -> tuple[VersionStatus, ...]:
    return tuple(map(read_status, messages))


def read_status(message: model_pb2.VersionStatus) -> VersionStatus:
    return VersionStatus(
        name=message.name,
        version=message.version,
        state=_STATES.get(message.state, "unknown"),
        reason=message.reason,
        message=message.message,
        changed=message.changed,
    )


def read_routing(message: model_pb2.Routing) -> Routing:
    return Routing(
        name=message.name,
        labels=dict(sorted(message.labels.items())),
        traffic=tuple(
            TrafficShare(
                source=_read_selector(share.source),
                target=_read_selector(share.target),
                percent=share.percent,
                sticky="caller" if share.key == model_pb2.TRAFFIC_KEY_CALLER else "request",
            )
            for share in message.traffic
        ),
        problem=message.problem,
    )


def _read_selector(message: VersionSelector) -> Selector:
    return message.label or message.version
