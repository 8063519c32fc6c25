"""The blocking calls of `spyglass.v1.Admin`."""

from __future__ import annotations

from typing import Protocol

from spyglass_client._admin import calls
from spyglass_client._calls import Call, Result
from spyglass_client._results.versions import ModelVersions, Routing, Selector, TrafficKey, VersionStatus
from spyglass_contract.errors import SpyglassError


class Send(Protocol):
    """Sends one call, with the retries and credentials of a client."""

    def __call__(self, call: Call[Result], timeout: float | None = None) -> Result:
        """Return the result within `timeout` seconds; None: the client's. Raises SpyglassError."""


class Admin:
    """Changes the models of one server while it serves: `client.admin`.

    The server must allow it, and if it asks for tokens, the token needs the scope `admin`; otherwise every
    method raises Unimplemented or PermissionDenied. Each raises InvalidInput for arguments out of range, and
    NotFound for a model, version or label that the server does not have. `timeout` is in seconds, None: the
    client's; after it the server finishes what it has begun.
    """

    def __init__(self, send: Send) -> None:
        self._send_call = send

    def load(self, model: str, *, timeout: float | None = None) -> VersionStatus:
        """Load a version, and return its state when it serves.

        `model` is NAME:VERSION, or NAME for the highest version in the repository. Raises FailedPrecondition,
        with the reason, if the server refuses the file.
        """
        return self._send(calls.load_call(model), timeout)

    def unload(self, model: str, *, timeout: float | None = None) -> tuple[VersionStatus, ...]:
        """End a version, NAME:VERSION, or all of a model, NAME. Requests in progress are finished.

        Return the states when no new request reaches the versions.
        """
        return self._send(calls.unload_call(model), timeout)

    def set_label(self, name: str, label: str, version: int, *, timeout: float | None = None) -> Routing:
        """Give a label to a version. A version that does not serve is loaded first."""
        return self._send(calls.set_label_call(name, label, version), timeout)

    def remove_label(self, name: str, label: str, *, timeout: float | None = None) -> Routing:
        """Remove a label, and the traffic shares from it and to it."""
        return self._send(calls.remove_label_call(name, label), timeout)

    def set_traffic(
        self,
        name: str,
        source: Selector,
        target: Selector,
        percent: float,
        *,
        sticky: TrafficKey = "request",
        timeout: float | None = None,
    ) -> Routing:
        """Send `percent` of the requests for one label or version to another; 0 removes the share.

        It replaces the share with the same source. `sticky` says what stays together: requests with the same
        `id` ("request"), or of the same caller ("caller").
        """
        return self._send(calls.set_traffic_call(name, source, target, percent, sticky), timeout)

    def clear_traffic(self, name: str, *, timeout: float | None = None) -> Routing:
        """Remove all traffic shares of a model, one after the other. Return its labels."""
        routing = self.versions(timeout=timeout).routing(name)
        for share in routing.traffic:
            routing = self.set_traffic(name, share.source, share.target, 0, timeout=timeout)
        return routing

    def rollback(self, name: str, *, label: str = "stable", timeout: float | None = None) -> Routing:
        """Give a label back to the version that it had before, and remove all traffic shares of the model."""
        return self._send(calls.rollback_call(name, label), timeout)

    def reload(self, *, timeout: float | None = None) -> tuple[VersionStatus, ...]:
        """Look at the repository now; return the state of every version when all changes are made."""
        return self._send(calls.reload_call(), timeout)

    def versions(self, *, timeout: float | None = None) -> ModelVersions:
        """Return the states of all versions, and all labels and traffic shares."""
        return self._send(calls.list_call(), timeout)

    def _send(self, call: Call[Result], timeout: float | None) -> Result:
        try:
            return self._send_call(call, timeout)
        except SpyglassError as error:
            raise calls.admin_error(error) from error
