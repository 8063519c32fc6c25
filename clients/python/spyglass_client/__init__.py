"""The client library of Spyglass.

    from spyglass_client import Client

    with Client("localhost:50051") as client:
        print(client.classify("cat.jpg").best.name)

Every public name is here; the modules are private.
"""

from spyglass.v1.model_pb2 import ModelCard
from spyglass_client._admin.admin import Admin
from spyglass_client._admin.async_admin import AsyncAdmin
from spyglass_client._async_client import AsyncClient
from spyglass_client._client import Client
from spyglass_client._images import ImageLike, read_image
from spyglass_client._options import Balance, Credentials, Hedging, KeepAlive, Retry, RetryBudget, Timeout
from spyglass_client._results.classifications import (
    Classification,
    ClassScore,
    Failure,
    ServedBy,
    Timing,
)
from spyglass_client._results.coco import mask_from_coco
from spyglass_client._results.heatmaps import Heatmap
from spyglass_client._results.models import ModelDetails, Profile, ProfiledRun, ServedModel
from spyglass_client._results.segmentations import Refinement, Segmentation, SegmentedClass
from spyglass_client._results.versions import (
    ModelVersions,
    Routing,
    Selector,
    TrafficKey,
    TrafficShare,
    VersionState,
    VersionStatus,
)
from spyglass_client._transports.addresses import Address, parse_addresses
from spyglass_client._transports.channels import call_error, open_channel
from spyglass_client._transports.opening import DEFAULT_TARGET
from spyglass_client._transports.transport import (
    NonBlockingTransport,
    PendingResponse,
    ResponseStream,
    Transport,
)
from spyglass_contract.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    ImageError,
    InternalError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    SpyglassError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

__all__ = [
    "DEFAULT_TARGET",
    "Address",
    "Admin",
    "AsyncAdmin",
    "AsyncClient",
    "Balance",
    "Cancelled",
    "ClassScore",
    "Classification",
    "Client",
    "Credentials",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Failure",
    "Heatmap",
    "Hedging",
    "ImageError",
    "ImageLike",
    "InternalError",
    "InvalidInput",
    "KeepAlive",
    "LimitExceeded",
    "ModelCard",
    "ModelDetails",
    "ModelVersions",
    "NonBlockingTransport",
    "NotFound",
    "Overloaded",
    "PendingResponse",
    "PermissionDenied",
    "Profile",
    "ProfiledRun",
    "Refinement",
    "ResponseStream",
    "Retry",
    "RetryBudget",
    "Routing",
    "Segmentation",
    "SegmentedClass",
    "Selector",
    "ServedBy",
    "ServedModel",
    "SpyglassError",
    "Timeout",
    "Timing",
    "TrafficKey",
    "TrafficShare",
    "Transport",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "VersionState",
    "VersionStatus",
    "call_error",
    "mask_from_coco",
    "open_channel",
    "parse_addresses",
    "read_image",
]
