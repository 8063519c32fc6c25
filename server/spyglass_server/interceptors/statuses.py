"""Errors to the statuses that end a gRPC call."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from spyglass_contract.errors import SpyglassError
from spyglass_contract.status_codes import status_code
from spyglass_contract.statuses import REQUEST_ID_HEADER, status_from_error


@dataclass(frozen=True)
class AbortStatus(grpc.Status):
    """The argument of `ServicerContext.abort_with_status`."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def abort_status(error: SpyglassError, request_id: str) -> AbortStatus:
    """Return the status of an error, with its details and the request's id in the trailing metadata."""
    status = status_from_error(error, request_id)
    metadata = (
        ("grpc-status-details-bin", status.SerializeToString()),
        (REQUEST_ID_HEADER, request_id),
    )
    return AbortStatus(grpc.StatusCode[status_code(error)], status.message, metadata)
