"""The table from errors to status codes; the server and the client use it in opposite directions."""

from __future__ import annotations

from spyglass_contract import errors

# The domain of every `google.rpc.ErrorInfo` that has a reason of Spyglass. It is no address of a site.
ERROR_DOMAIN = "errors.spyglass.v1"

# Names as in `google.rpc.Code`, the same as in gRPC. Classes that are not in the table are INTERNAL.
STATUS_CODES: dict[type[errors.SpyglassError], str] = {
    errors.InvalidInput: "INVALID_ARGUMENT",
    errors.LimitExceeded: "OUT_OF_RANGE",
    errors.NotFound: "NOT_FOUND",
    errors.FailedPrecondition: "FAILED_PRECONDITION",
    errors.Overloaded: "RESOURCE_EXHAUSTED",
    errors.DeadlineExceeded: "DEADLINE_EXCEEDED",
    errors.Cancelled: "CANCELLED",
    errors.Unauthenticated: "UNAUTHENTICATED",
    errors.PermissionDenied: "PERMISSION_DENIED",
    errors.Unavailable: "UNAVAILABLE",
    errors.Unimplemented: "UNIMPLEMENTED",
    errors.InternalError: "INTERNAL",
}


def status_code(error: BaseException) -> str:
    """Return the code of the error's nearest class in the table, or INTERNAL if none is in it."""
    for kind in type(error).__mro__:
        if kind in STATUS_CODES:
            return STATUS_CODES[kind]
    return "INTERNAL"
