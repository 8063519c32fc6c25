"""Unexpected exceptions become InternalError: the log gets their text, the caller gets the request's id."""

from __future__ import annotations

import logging

from spyglass_contract.errors import InternalError, SpyglassError
from spyglass_contract.status_codes import status_code

_log = logging.getLogger(__name__)


def public_error(error: BaseException, request_id: str = "") -> SpyglassError:
    """Return the error that a caller may see: `error` itself, or an InternalError without its text.

    A fault of the server is logged with its stack trace.
    """
    if isinstance(error, SpyglassError) and status_code(error) != "INTERNAL":
        return error
    _log.error("a request failed", exc_info=error)
    reason = error.reason if isinstance(error, InternalError) else ""
    hint = f"; quote the request id {request_id}" if request_id else ""
    return InternalError(f"the server failed{hint}", reason=reason)
