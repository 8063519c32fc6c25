"""A call of `spyglass.v1.Admin` on its way between processes."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from google.protobuf.message import Message

from spyglass.v1 import admin_pb2

LOAD, UNLOAD = "LoadModel", "UnloadModel"
RELOAD, LIST = "Reload", "ListVersions"
ROUTES = ("SetLabel", "RemoveLabel", "SetTraffic", "Rollback")
"""The methods that change the file of labels and traffic, which all processes read."""
METHODS = {
    LOAD: "load_model",
    UNLOAD: "unload_model",
    "SetLabel": "set_label",
    "RemoveLabel": "remove_label",
    "SetTraffic": "set_traffic",
    "Rollback": "rollback",
    RELOAD: "reload",
    LIST: "list_versions",
}
"""The methods of `Administration` by those of the service."""


@dataclass(frozen=True)
class Change:
    """The method, its serialised request, who called it, and the worker that got the call; 0: none."""

    method: str
    request: bytes
    caller: str = ""
    worker: int = 0
    # What the caller still waits for, in seconds; None: as long as it takes.
    seconds: float | None = None

    def to_bytes(self) -> bytes:
        """Return the change as JSON."""
        return json.dumps({**asdict(self), "request": base64.b64encode(self.request).decode()}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Change:
        """Return the change of `to_bytes`."""
        found: dict[str, Any] = json.loads(data)
        return cls(**{**found, "request": base64.b64decode(found["request"])})

    def message(self) -> Any:
        """Return the request as a message."""
        return request_type(self.method).FromString(self.request)

    def of_version(self, response: bytes) -> Change:
        """Return the change with the version that a response of LoadModel names."""
        if self.method != LOAD:
            return self
        request = self.message()
        request.version = admin_pb2.LoadModelResponse.FromString(response).version.version
        return replace(self, request=request.SerializeToString())


def request_type(method: str) -> type[Message]:
    """Return the type of the requests of a method."""
    found: type[Message] = getattr(admin_pb2, f"{method}Request")
    return found
