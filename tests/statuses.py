"""Errors to statuses, as the server makes them, for fake servers and for expectations."""

from __future__ import annotations

from google.rpc.status_pb2 import Status

from spyglass_contract.statuses import status_from_error
from spyglass_server.faults import public_error
from spyglass_server.interceptors.statuses import AbortStatus, abort_status


def to_status(error: Exception, request_id: str) -> Status:
    """The status of an error in a stream's response."""
    return status_from_error(public_error(error, request_id), request_id)


def to_abort(error: Exception, request_id: str) -> AbortStatus:
    """The status that ends a call."""
    return abort_status(public_error(error, request_id), request_id)
