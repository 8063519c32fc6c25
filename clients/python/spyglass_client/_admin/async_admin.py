"""The calls of `spyglass.v1.Admin` with `await`."""

from __future__ import annotations

from typing import Protocol

from spyglass_client._admin import calls
from spyglass_client._calls import Call, Result
from spyglass_client._results.versions import ModelVersions, Routing, Selector, TrafficKey, VersionStatus
from spyglass_contract.errors import SpyglassError


class AsyncSend(Protocol):
    """Sends one call, with the retries and credentials of a client."""

    async def __call__(self, call: Call[Result], timeout: float | None = None) -> Result:
        """Return the result within `timeout` seconds; None: the client's. Raises SpyglassError."""


class AsyncAdmin:
    """Changes the models of one server while it serves: `Admin` with `await`."""

    def __init__(self, send: AsyncSend) -> None:
        self._send_call = send

    async def load(self, model: str, *, timeout: float | None = None) -> VersionStatus:
        """See `Admin.load`."""
        return await self._send(calls.load_call(model), timeout)

    async def unload(self, model: str, *, timeout: float | None = None) -> tuple[VersionStatus, ...]:
        """See `Admin.unload`."""
        return await self._send(calls.unload_call(model), timeout)

    async def set_label(
        self, name: str, label: str, version: int, *, timeout: float | None = None
    ) -> Routing:
        """See `Admin.set_label`."""
        return await self._send(calls.set_label_call(name, label, version), timeout)

    async def remove_label(self, name: str, label: str, *, timeout: float | None = None) -> Routing:
        """See `Admin.remove_label`."""
        return await self._send(calls.remove_label_call(name, label), timeout)

    async def set_traffic(
        self,
        name: str,
        source: Selector,
        target: Selector,
        percent: float,
        *,
        sticky: TrafficKey = "request",
        timeout: float | None = None,
    ) -> Routing:
        """See `Admin.set_traffic`."""
        return await self._send(calls.set_traffic_call(name, source, target, percent, sticky), timeout)

    async def clear_traffic(self, name: str, *, timeout: float | None = None) -> Routing:
        """See `Admin.clear_traffic`."""
        routing = (await self.versions(timeout=timeout)).routing(name)
        for share in routing.traffic:
            routing = await self.set_traffic(name, share.source, share.target, 0, timeout=timeout)
        return routing

    async def rollback(self, name: str, *, label: str = "stable", timeout: float | None = None) -> Routing:
        """See `Admin.rollback`."""
        return await self._send(calls.rollback_call(name, label), timeout)

    async def reload(self, *, timeout: float | None = None) -> tuple[VersionStatus, ...]:
        """See `Admin.reload`."""
        return await self._send(calls.reload_call(), timeout)

    async def versions(self, *, timeout: float | None = None) -> ModelVersions:
        """See `Admin.versions`."""
        return await self._send(calls.list_call(), timeout)

    async def _send(self, call: Call[Result], timeout: float | None) -> Result:
        try:
            return await self._send_call(call, timeout)
        except SpyglassError as error:
            raise calls.admin_error(error) from error
