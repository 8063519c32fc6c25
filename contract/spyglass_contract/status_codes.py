"""The one table from errors to status codes, which server and client read in opposite directions."""

from __future__ import annotations

from spyglass_contract import errors

# The domain of every `google.rpc.ErrorInfo`: it says that the reason is one of ours.
ERROR_DOMAIN = "spyglass"

# Names as in `google.rpc.Code`, which are those of gRPC. Classes that are not here are INTERNAL.
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
    """The code of the nearest class in the table; INTERNAL for everything that is not in it."""
    for kind in type(error).__mro__:
        if kind in STATUS_CODES:
            return STATUS_CODES[kind]
    return "INTERNAL"
