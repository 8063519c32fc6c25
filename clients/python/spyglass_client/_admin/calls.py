"""The calls of `spyglass.v1.Admin`: how requests are made, and how responses become results."""

from __future__ import annotations

import re
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from google.protobuf.message import Message

from spyglass.v1 import admin_pb2, model_pb2
from spyglass_client._calls import Call, Result
from spyglass_client._results.versions import (
    TRAFFIC_KEYS,
    ModelVersions,
    Routing,
    Selector,
    TrafficKey,
    VersionStatus,
    read_routing,
    read_status,
    read_statuses,
    read_versions,
)
from spyglass_contract.errors import InvalidInput, SpyglassError, Unimplemented
from spyglass_contract.model.names import model_ref

_LABEL = re.compile(r"(?=.*[^0-9])[A-Za-z0-9_.-]{1,63}")
_INT64_MAX = 2**63 - 1
_MAX_QUOTED = 100

ADMIN_OFF = "ADMIN_OFF"


def load_call(model: str) -> Call[VersionStatus]:
    """Make a LoadModel call. Raises InvalidInput unless `model` is NAME or NAME:VERSION."""
    name, version = _name_and_version(model)
    request = admin_pb2.LoadModelRequest(name=name, version=version)
    return _call("LoadModel", request, lambda reply: read_status(reply.version))


def unload_call(model: str) -> Call[tuple[VersionStatus, ...]]:
    """Make an UnloadModel call. Raises InvalidInput unless `model` is NAME or NAME:VERSION."""
    name, version = _name_and_version(model)
    request = admin_pb2.UnloadModelRequest(name=name, version=version)
    return _call("UnloadModel", request, lambda reply: read_statuses(reply.versions))


def set_label_call(name: str, label: str, version: int) -> Call[Routing]:
    """Make a SetLabel call. Raises InvalidInput for an invalid name, label or version."""
    request = admin_pb2.SetLabelRequest(name=_name(name), label=_label(label), version=_version(version))
    return _call("SetLabel", request, lambda reply: read_routing(reply.routing))


def remove_label_call(name: str, label: str) -> Call[Routing]:
    """Make a RemoveLabel call. Raises InvalidInput for an invalid name or label."""
    request = admin_pb2.RemoveLabelRequest(name=_name(name), label=_label(label))
    # Of two calls the second one fails: the label is gone.
    return _call("RemoveLabel", request, lambda reply: read_routing(reply.routing), repeatable=False)


def set_traffic_call(
    name: str, source: Selector, target: Selector, percent: float, sticky: TrafficKey
) -> Call[Routing]:
    """Make a SetTraffic call. Raises InvalidInput for an invalid argument."""
    if isinstance(percent, bool) or not isinstance(percent, Real) or not 0 <= percent <= 100:
        raise InvalidInput(
            f"percent must be a number from 0 to 100, not {_quoted(percent)}",
            reason="PERCENT_INVALID",
            field="share.percent",
        )
    if not isinstance(sticky, str) or sticky not in TRAFFIC_KEYS:
        raise InvalidInput(
            f"sticky must be 'request' or 'caller', not {_quoted(sticky)}",
            reason="TRAFFIC_KEY_UNKNOWN",
            field="share.key",
        )
    share = model_pb2.TrafficShare(
        source=_selector(source),
        target=_selector(target),
        percent=float(percent),
        key=TRAFFIC_KEYS[sticky],
    )
    request = admin_pb2.SetTrafficRequest(name=_name(name), share=share)
    return _call("SetTraffic", request, lambda reply: read_routing(reply.routing))


def rollback_call(name: str, label: str) -> Call[Routing]:
    """Make a Rollback call. Raises InvalidInput for an invalid name or label."""
    request = admin_pb2.RollbackRequest(name=_name(name), label=_label(label))
    # Two calls go back two versions.
    return _call("Rollback", request, lambda reply: read_routing(reply.routing), repeatable=False)


def reload_call() -> Call[tuple[VersionStatus, ...]]:
    """Make a Reload call."""
    return _call("Reload", admin_pb2.ReloadRequest(), lambda reply: read_statuses(reply.versions))


def list_call() -> Call[ModelVersions]:
    """Make a ListVersions call."""
    return _call("ListVersions", admin_pb2.ListVersionsRequest(), read_versions)


def admin_error(error: SpyglassError) -> SpyglassError:
    """Return the error of a failed call; of a server without the service, what to do."""
    # gRPC sends no reason for a service that the server does not have.
    if not isinstance(error, Unimplemented) or error.reason != Unimplemented.default_reason:
        return error
    explained = Unimplemented(
        "the server does not allow changes of its models: start it with --admin", reason=ADMIN_OFF
    )
    explained.request_id = error.request_id
    return explained


def _call(
    method: str, request: Message, read: Callable[[Any], Result], *, repeatable: bool = True
) -> Call[Result]:
    return Call(method, request, read, service="Admin", repeatable=repeatable)


def _name_and_version(model: str) -> tuple[str, int]:
    """Return the name and the version, 0 if there is none, of NAME or NAME:VERSION. Raises InvalidInput."""
    ref = model_ref(model) if isinstance(model, str) else model_pb2.ModelRef()
    if not ref.name or ref.label:
        raise InvalidInput(
            f"the model must be NAME or NAME:VERSION, not {_quoted(model)}",
            reason="MODEL_NAME_INVALID",
            field="name",
        )
    return ref.name, ref.version


def _name(name: str) -> str:
    ref = model_ref(name) if isinstance(name, str) else model_pb2.ModelRef()
    if not ref.name or ref.WhichOneof("selector"):
        raise InvalidInput(
            f"the name of a model must be NAME, without a version or label, not {_quoted(name)}",
            reason="MODEL_NAME_INVALID",
            field="name",
        )
    return ref.name


def _label(label: str) -> str:
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise InvalidInput(
            "a label must be 1 to 63 letters, digits, '.', '_' and '-', and not only digits, "
            f"not {_quoted(label)}",
            reason="LABEL_INVALID",
            field="label",
        )
    return label


def _version(version: int) -> int:
    if isinstance(version, bool) or not isinstance(version, Integral) or not 1 <= version <= _INT64_MAX:
        raise InvalidInput(
            f"a version must be a whole number, 1 or more, not {_quoted(version)}",
            reason="VERSION_INVALID",
            field="version",
        )
    return int(version)


def _selector(selector: Selector) -> model_pb2.VersionSelector:
    if isinstance(selector, str):
        return model_pb2.VersionSelector(label=_label(selector))
    return model_pb2.VersionSelector(version=_version(selector))


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."
