"""What is known of one request at its end, for metrics, log, traces and statistics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from spyglass.v1.reply_pb2 import ServedBy, Timing
from spyglass_contract.errors import ImageError
from spyglass_contract.images.header import sniff

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from spyglass_contract.images.message import ImageData
    from spyglass_server.engine.call import Call
    from spyglass_server.engine.models.model import Model
    from spyglass_server.engine.work import Inferred

Kind = Literal["request", "message", "stream", "image"]
"""A call with one request, a request of a stream, or a whole stream, whose messages are observed alone.

An image is one of several in a request, which has no stages of its own.
"""

Metadata = tuple[tuple[str, str | bytes], ...]

RAW = "RAW"
"""The format of an image that came as pixels."""


class Observation:
    """One request. The transport makes it, the engine adds to it, and observers read it at the end.

    It holds the request with its image: an observer that keeps any of this keeps megabytes.
    """

    __slots__ = (
        "cached",
        "call",
        "code",
        "computed",
        "decode_started",
        "encode_started",
        "ended",
        "failed",
        "image",
        "images",
        "inference_started",
        "inferred",
        "kind",
        "messages",
        "metadata",
        "method",
        "model",
        "queued",
        "reason",
        "request",
        "request_bytes",
        "request_id",
        "response",
        "response_bytes",
        "span",
        "started",
    )

    def __init__(
        self, method: str, request_id: str = "", metadata: Metadata = (), kind: Kind = "request"
    ) -> None:
        """`method` is a path such as `/spyglass.v1.Vision/Classify`."""
        self.method = method
        self.kind = kind
        self.request_id = request_id
        self.metadata = metadata
        # Seconds of `time.monotonic()`.
        self.started = time.monotonic()
        self.ended = 0.0
        # The same for the stages that have begun; 0: not begun. A stage that others share begins with them.
        self.queued = self.decode_started = self.inference_started = self.encode_started = 0.0
        # None: the call ended before its caller was known.
        self.call: Call | None = None
        self.request: Any = None
        self.request_bytes = 0
        # None: the request ended before its model was found.
        self.model: Model | None = None
        # The file or the pixels; None: the request ended before they were found.
        self.image: ImageData | None = None
        # The response was kept from an earlier request.
        self.cached = False
        # None: the network did not run.
        self.inferred: Inferred[Any] | None = None
        # None: the request failed.
        self.response: Any = None
        self.response_bytes = 0
        # The time of each stage, and what computed the response, if the response itself does not have them.
        self.computed: tuple[Timing, ServedBy] | None = None
        # The images of a request that has several.
        self.images: list[Observation] = []
        # Requests of a stream so far, and those of them that failed.
        self.messages = self.failed = 0
        # The name of a status code, and the reason of an error.
        self.code = ""
        self.reason = ""
        # The span of a request that is traced, see `observing.tracing`; None: no span.
        self.span: Any = None

    @property
    def seconds(self) -> float:
        """The time from the arrival of the request to its end."""
        return self.ended - self.started

    @property
    def timing(self) -> Timing | None:
        """The time of each stage; None if the request was not answered."""
        return self.computed[0] if self.computed else getattr(self.response, "timing", None)

    @property
    def served_by(self) -> ServedBy | None:
        """What computed the response; None if the request was not answered."""
        return self.computed[1] if self.computed else getattr(self.response, "served_by", None)

    @property
    def image_format(self) -> str:
        """Pillow's name of the image's format, RAW for pixels; empty if it is unknown."""
        # Not from the request: to read the bytes of a message copies them.
        if not isinstance(self.image, bytes):
            return "" if self.image is None else RAW
        try:
            return sniff(self.image)
        except ImageError:
            return ""

    def answered(self, response: Message | None, response_bytes: int) -> None:
        """Note the response."""
        self.response = response
        self.response_bytes = response_bytes

    def split(self, count: int) -> list[Observation]:
        """Observe `count` images of this request one by one."""
        self.images = [
            Observation(self.method, self.request_id, self.metadata, "image") for _ in range(count)
        ]
        return self.images

    def forget(self) -> None:
        """Free the image: gRPC holds the call, and so this object, until the response has been sent."""
        self.request = self.image = None
        # They hold the inputs of the network.
        self.images = []
        # The two hold each other: without a cycle, their memory is freed at once.
        if self.call:
            self.call.observation = None
