"""Labels and traffic shares as messages."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass.v1.model_pb2 import (
    TRAFFIC_KEY_CALLER,
    TRAFFIC_KEY_REQUEST,
    TRAFFIC_KEY_UNSPECIFIED,
    TrafficShare,
    VersionSelector,
)
from spyglass.v1.model_pb2 import Routing as RoutingMessage
from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.models.routing import Key, Routing, Selector, Share, check_label

_KEYS: Mapping[int, Key] = {
    TRAFFIC_KEY_UNSPECIFIED: "request",
    TRAFFIC_KEY_REQUEST: "request",
    TRAFFIC_KEY_CALLER: "caller",
}


def routing_message(name: str, routing: Routing, problem: str = "") -> RoutingMessage:
    """Return the message of the labels and shares of a model, and of the problem with their file."""
    shares = [
        TrafficShare(
            source=_selector_message(share.source),
            target=_selector_message(share.target),
            percent=share.percent,
            key=TRAFFIC_KEY_CALLER if share.key == "caller" else TRAFFIC_KEY_REQUEST,
        )
        for share in routing.shares
    ]
    return RoutingMessage(name=name, labels=dict(routing.labels), traffic=shares, problem=problem)


def share_of(message: TrafficShare) -> Share:
    """Return the share of a message. Raises InvalidInput."""
    if message.key not in _KEYS:
        raise InvalidInput(
            f"there is no traffic key {message.key}", reason="TRAFFIC_KEY_UNKNOWN", field="share.key"
        )
    return Share(
        _selector(message.source, "share.source"),
        _selector(message.target, "share.target"),
        message.percent,
        _KEYS[message.key],
    )


def _selector(message: VersionSelector, field: str) -> Selector:
    if message.WhichOneof("selector") is None:
        raise InvalidInput("name a version or a label", reason="SELECTOR_MISSING", field=field)
    if message.label:
        check_label(message.label)
        return message.label
    check_version(message.version, least=1)
    return message.version


def _selector_message(selector: Selector) -> VersionSelector:
    if isinstance(selector, int):
        return VersionSelector(version=selector)
    return VersionSelector(label=selector)


def check_version(version: int, *, least: int) -> None:
    """Raise InvalidInput unless `version` is at least `least`."""
    if version < least:
        raise InvalidInput(
            f"version must be a whole number, {least} or more, not {version}",
            reason="VERSION_INVALID",
            field="version",
        )
