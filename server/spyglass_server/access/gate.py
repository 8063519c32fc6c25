"""The gate: it finds who calls, and refuses calls without a valid token or certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spyglass_contract.errors import PermissionDenied, Unauthenticated
from spyglass_server.access.entries import Identity
from spyglass_server.access.failures import Failures
from spyglass_server.access.open_streams import OpenStreams
from spyglass_server.access.scopes import ADMIN
from spyglass_server.access.token_store import TokenStore
from spyglass_server.access.tokens import bearer_of

AuthContext = Callable[[], Mapping[Any, Any]]
"""What gRPC knows of the connection, by names of gRPC's core: keys are str or bytes."""

# Probes have no token, and learn nothing but the health.
_OPEN = "/grpc.health.v1.Health/"
_ADMIN = ("/spyglass.v1.Admin/", "/inference.GRPCInferenceService/RepositoryModel")
_CERTIFICATE_NAMES = ("x509_common_name", "x509_subject_alternative_name")


TASK_OF_METHOD = {
    f"/spyglass.v1.Vision/{name}{suffix}": name.lower()
    for name in ("Classify", "Segment", "Heatmap")
    for suffix in ("", "Stream")
}
"""The scope of each method that needs one, by its path. Other methods need any valid token."""


class Gate:
    """Finds who calls, from any thread. Without a store everyone may call, and nobody has a name."""

    def __init__(self, store: TokenStore | None = None) -> None:
        self._store = store
        self._failures = Failures()
        self.streams = OpenStreams()

    @property
    def is_closed(self) -> bool:
        """Whether callers need a token or a certificate."""
        return self._store is not None

    def identify(
        self,
        method: str,
        address: str,
        metadata: Iterable[tuple[str, str | bytes]],
        auth_context: AuthContext,
    ) -> Identity | None:
        """Return who calls `method`; None: everyone may.

        Raises Unauthenticated, and PermissionDenied if the scope of the method is missing.
        """
        if self._store is None or method.startswith(_OPEN):
            return None
        try:
            identity = self._authenticated(self._store, metadata, auth_context)
            task = TASK_OF_METHOD.get(method)
            if task and task not in identity.scopes.tasks:
                raise PermissionDenied(f"the caller lacks the scope {task}", reason="SCOPE_MISSING")
            if method.startswith(_ADMIN) and not identity.scopes.admin:
                raise PermissionDenied(f"the caller lacks the scope {ADMIN}", reason="SCOPE_MISSING")
        except (Unauthenticated, PermissionDenied) as error:
            self._failures.add(address, error.reason)
            raise
        return identity

    def sweep(self) -> None:
        """Read the tokens if they have changed, and end the streams of callers that are no longer valid."""
        if self._store is not None:
            self._store.refresh()
            self.streams.sweep(self._store.is_current)

    def _authenticated(
        self, store: TokenStore, metadata: Iterable[tuple[str, str | bytes]], auth_context: AuthContext
    ) -> Identity:
        token = bearer_of(metadata)
        if token is None:
            identity = store.of_certificate(_names(auth_context())) if store.has_certificates else None
            if identity is None:
                raise Unauthenticated(
                    "the call has no token: send the metadata `authorization: Bearer TOKEN`",
                    reason="TOKEN_MISSING",
                )
            return identity
        identity = store.of_token(token)
        if identity is None:
            raise Unauthenticated("the token is not accepted", reason="TOKEN_NOT_ACCEPTED")
        return identity


def _names(auth_context: Mapping[Any, Any]) -> list[str]:
    """Return the names in a client's certificate, which gRPC has verified; empty without a certificate."""
    return [
        value.decode("utf-8", "replace")
        for key, values in auth_context.items()
        if (key.decode() if isinstance(key, bytes) else key) in _CERTIFICATE_NAMES
        for value in values
    ]
