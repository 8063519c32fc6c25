"""One tree of errors for every package; the server maps it to status codes and the client back again.

SpyglassError
├── InvalidInput            INVALID_ARGUMENT
│   └── ImageError            … the image is at fault
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
└── ModelError              a model file that cannot be trusted; never crosses the wire
    ├── CardError
    └── CertificateError
"""

from __future__ import annotations


class SpyglassError(Exception):
    """Something a caller can act on.

    `reason` is stable and made for programs (UPPER_SNAKE_CASE), `message` is made for people and safe to
    show to any caller, `field` names the part of the request at fault. `request_id` is the server's name
    for the call that failed, to quote to whoever runs it; empty where no server was asked.
    """

    default_reason = "UNKNOWN"

    def __init__(self, message: str, *, reason: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.field = field
        self.request_id = ""


class InvalidInput(SpyglassError):
    """The request is wrong in itself; sending it again will not help."""

    default_reason = "INVALID_INPUT"


class ImageError(InvalidInput):
    """The image is missing, broken, or of a kind that is not read."""

    default_reason = "IMAGE_CORRUPT"


class LimitExceeded(SpyglassError):
    """More bytes or pixels than are allowed."""

    default_reason = "LIMIT_EXCEEDED"


class NotFound(SpyglassError):
    """No such model, version or label."""

    default_reason = "MODEL_NOT_FOUND"


class FailedPrecondition(SpyglassError):
    """The model is for another task, or lacks what was asked of it."""

    default_reason = "MODEL_TASK_MISMATCH"


class Overloaded(SpyglassError):
    """No room or no time now; `retry_after` says in how many seconds to ask again, None: do not."""

    default_reason = "QUEUE_FULL"

    def __init__(
        self, message: str, *, reason: str = "", field: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, reason=reason, field=field)
        self.retry_after = retry_after


class DeadlineExceeded(SpyglassError):
    """The caller's time ran out; the work was dropped."""

    default_reason = "DEADLINE_EXCEEDED"


class Cancelled(SpyglassError):
    """The caller went away; the work was dropped."""

    default_reason = "CANCELLED"


class Unauthenticated(SpyglassError):
    """No token, or one that is not known."""

    default_reason = "UNAUTHENTICATED"


class PermissionDenied(SpyglassError):
    """The token does not cover this."""

    default_reason = "PERMISSION_DENIED"


class Unavailable(SpyglassError):
    """Not ready: starting, draining, or out of reach. Asking again is safe."""

    default_reason = "NOT_READY"


class Unimplemented(SpyglassError):
    """This server does not offer that call."""

    default_reason = "UNIMPLEMENTED"


class InternalError(SpyglassError):
    """A fault of the server's; the message holds an id to quote and no details."""

    default_reason = "INTERNAL"


class ModelError(SpyglassError):
    """A model file that cannot be served."""

    default_reason = "MODEL_INVALID"


class CardError(ModelError):
    """A model file without a card, or with one that does not fit."""

    default_reason = "CARD_INVALID"


class CertificateError(ModelError):
    """A model that does not answer as its certificate says."""

    default_reason = "CERTIFICATE_FAILED"
