"""The entrance of the server: who calls, and whether the caller's limits allow another request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import Event
from typing import Any, Protocol

from spyglass_contract.images.header import Limits
from spyglass_server.access.entries import NO_OWN_LIMITS
from spyglass_server.access.gate import Gate
from spyglass_server.access.quotas import Quota, Quotas
from spyglass_server.engine.call import Call, Caller
from spyglass_server.interceptors.grpcio_calls import Metadata, caller_of
from spyglass_server.servicers.costs import Cost, cost_of_image

_quota_of = lru_cache(maxsize=1024)(Quota.overridden)


class Arriving(Protocol):
    """A call that has arrived."""

    def peer(self) -> str:
        """Return the address of the caller with the port of its connection."""

    def metadata(self) -> Metadata:
        """Return the metadata of the call."""

    def auth_context(self) -> Mapping[Any, Sequence[bytes]]:
        """Return what gRPC knows of the connection."""


class Entrance:
    """Finds the caller of each call, and counts what callers use; safe to use from any thread."""

    def __init__(self, gate: Gate | None = None, quota: Quota | None = None, limits: Limits | None = None):
        """`quota` is that of callers who have none of their own; `limits` apply to images."""
        self.gate = gate or Gate()
        self._quotas = Quotas()
        self._quota = quota or Quota()
        self._limits = limits or Limits()

    @property
    def is_open(self) -> bool:
        """Whether every call may come in: there are neither tokens nor limits of callers."""
        return not self.gate.is_closed and not self._quota

    def caller(self, method: str, call: Arriving) -> Caller:
        """Return who calls `method`. Raises Unauthenticated and PermissionDenied."""
        peer = call.peer()
        address = caller_of(peer)
        if not self.gate.is_closed:
            return Caller(address, peer)
        return Caller(address, peer, self.gate.identify(method, address, call.metadata(), call.auth_context))

    def check(self, caller: Caller) -> None:
        """Raise Overloaded if a call with one request would be refused now; it uses nothing."""
        if quota := self._quota_of(caller):
            self._quotas.check(caller.name, quota)

    def begin(self, caller: Caller, request: Any, cost: Cost = cost_of_image) -> Callable[[], None] | None:
        """Count a call with one request; return what to call at its end, None: nothing.

        Raises Overloaded if the caller's limits do not allow it.
        """
        quota = self._quota_of(caller)
        if not quota:
            return None
        images, megapixels = cost(request, self._limits, pixels=bool(quota.megapixels_per_second))
        return self._quotas.enter(caller.name, quota, megapixels, images)

    @contextmanager
    def inside(self, caller: Caller, request: Any, cost: Cost = cost_of_image) -> Iterator[None]:
        """Count a call with one request while the block runs. Raises Overloaded as `begin` does."""
        leave = self.begin(caller, request, cost)
        try:
            yield
        finally:
            if leave:
                leave()

    def reserve(self, caller: Caller, request: Any, cost: Cost = cost_of_image) -> float:
        """Count a request of a stream; return the seconds that it must wait."""
        quota = self._quota_of(caller)
        if not quota:
            return 0.0
        images, megapixels = cost(request, self._limits, pixels=bool(quota.megapixels_per_second))
        return self._quotas.reserve(caller.name, quota, megapixels, images)

    def wait(self, call: Call, request: Any, cost: Cost = cost_of_image) -> None:
        """Count a request of a stream, and wait for its turn or for the end of its call."""
        if seconds := self.reserve(call.caller, request, cost):
            over = Event()
            call.on_cancel(over.set)
            over.wait(seconds)
            call.forget(over.set)

    def _quota_of(self, caller: Caller) -> Quota:
        if caller.identity is None or caller.identity.limits is NO_OWN_LIMITS:
            return self._quota
        return _quota_of(self._quota, caller.identity.limits)
