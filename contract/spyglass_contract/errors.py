"""The errors of all packages. The server maps them to status codes, the client maps these back.

SpyglassError
├── InvalidInput            INVALID_ARGUMENT
│   └── ImageError
├── LimitExceeded           OUT_OF_RANGE
├── NotFound                NOT_FOUND
├── FailedPrecondition      FAILED_PRECONDITION
├── Overloaded              RESOURCE_EXHAUSTED
├── DeadlineExceeded        DEADLINE_EXCEEDED
├── Cancelled               CANCELLED
├── Unauthenticated         UNAUTHENTICATED
├── PermissionDenied        PERMISSION_DENIED
├── Unavailable             UNAVAILABLE
├── Unimplemented           UNIMPLEMENTED
├── InternalError           INTERNAL
└── ModelError              (never sent to a caller)
    ├── CardError
    └── CertificateError
"""

from __future__ import annotations


class SpyglassError(Exception):
    """The base of all errors that a caller can act on.

    `reason` is for programs: stable, in UPPER_SNAKE_CASE. `message` is for people, and safe to show to any
    caller. `field` names the part of the request that is wrong. `request_id` is the server's id of the call
    that failed, to quote to the operator of the server; it is empty if no server was called.
    """

    default_reason = "UNKNOWN"

    def __init__(self, message: str, *, reason: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.field = field
        self.request_id = ""


class InvalidInput(SpyglassError):
    """The request is invalid; sending it again does not help."""

    default_reason = "INVALID_INPUT"


class ImageError(InvalidInput):
    """The image is missing, broken, or in a format or colour space that is not supported."""

    default_reason = "IMAGE_CORRUPT"


class LimitExceeded(SpyglassError):
    """The request or its result exceeds a limit, such as the bytes or pixels of an image."""

    default_reason = "LIMIT_EXCEEDED"


class NotFound(SpyglassError):
    """There is no such model, version or label."""

    default_reason = "MODEL_NOT_FOUND"


class FailedPrecondition(SpyglassError):
    """The model is for another task, or cannot do what the request needs."""

    default_reason = "MODEL_TASK_MISMATCH"


class Overloaded(SpyglassError):
    """The server has no capacity now. Send the request again after `retry_after` seconds; None: do not."""

    default_reason = "QUEUE_FULL"

    def __init__(
        self, message: str, *, reason: str = "", field: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, reason=reason, field=field)
        self.retry_after = retry_after


class DeadlineExceeded(SpyglassError):
    """The caller's deadline has passed; the server stopped the work."""

    default_reason = "DEADLINE_EXCEEDED"


class Cancelled(SpyglassError):
    """The caller cancelled the call; the server stopped the work."""

    default_reason = "CANCELLED"


class Unauthenticated(SpyglassError):
    """The request has no token, or an unknown one."""

    default_reason = "UNAUTHENTICATED"


class PermissionDenied(SpyglassError):
    """The token does not permit this call."""

    default_reason = "PERMISSION_DENIED"


class Unavailable(SpyglassError):
    """The server is starting, draining, or cannot be reached. Sending the request again is safe."""

    default_reason = "NOT_READY"


class Unimplemented(SpyglassError):
    """The server does not implement this call."""

    default_reason = "UNIMPLEMENTED"


class InternalError(SpyglassError):
    """The server failed. The message holds the request's id and no details."""

    default_reason = "INTERNAL"


class ModelError(SpyglassError):
    """A model file is invalid."""

    default_reason = "MODEL_INVALID"


class CardError(ModelError):
    """A model file has no card, or an invalid one."""

    default_reason = "CARD_INVALID"


class CertificateError(ModelError):
    """The outputs of a model differ from its certificate."""

    default_reason = "CERTIFICATE_FAILED"
