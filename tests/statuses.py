"""Convert errors to statuses as the server does, for fake servers and expected values."""

from __future__ import annotations

from google.rpc.status_pb2 import Status

from spyglass_contract.statuses import status_from_error
from spyglass_server.faults import public_error
from spyglass_server.interceptors.statuses import AbortStatus, abort_status


def to_status(error: Exception, request_id: str) -> Status:
    """Return the status of an error in a stream's response."""
    return status_from_error(public_error(error, request_id), request_id)


def to_abort(error: Exception, request_id: str) -> AbortStatus:
    """Return the status that ends a call."""
    return abort_status(public_error(error, request_id), request_id)
