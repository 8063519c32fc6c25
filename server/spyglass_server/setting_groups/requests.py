"""What all requests together may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from spyglass_server.engine.capacity.memory import usable_memory
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.setting_values import EXPECTED

_MESSAGE_BYTES_BESIDE_IMAGE = 1024 * 1024
# With less, the cache would keep hardly any response.
_LEAST_CACHE_BYTES = 1024 * 1024


def _most_cache_bytes() -> int:
    return usable_memory() // 2


def _cache_bytes(value: int) -> int:
    if value and not _LEAST_CACHE_BYTES <= value <= _most_cache_bytes():
        raise ValueError("too few bytes, or too many")
    return value


class RequestSettings(BaseSettings):
    """What all requests together may use."""

    max_image_bytes: int = Field(
        32 * 1024 * 1024, ge=1, le=512 * 1024 * 1024, description="Largest file of an image, in bytes."
    )
    # Pillow itself refuses more than 178 megapixels.
    max_image_pixels: int = Field(
        64 * 1024 * 1024, ge=1, le=128 * 1024 * 1024, description="Largest image, in pixels."
    )
    max_in_flight: int = Field(
        0,
        ge=0,
        le=65536,
        description="Largest number of requests at the same time; 0 is 64 for each processor, at least 1024.",
    )
    max_queue_seconds: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="Seconds of work that a request waits for; one that would wait longer is refused.",
    )
    max_streams: int = Field(
        16, ge=1, le=1024, description="Largest number of open streaming calls at the same time."
    )
    stream_idle_seconds: float = Field(
        60.0, gt=0, le=86400, description="Seconds after which a stream ends that waits for its caller."
    )
    max_receiving: int = Field(
        0,
        ge=0,
        le=65536,
        description="Calls whose request is still being received; 0: 32 to 1024, by the usable memory.",
    )
    receive_seconds: float = Field(
        30.0, gt=0, le=3600, description="Seconds that a request may take to arrive from its first byte on."
    )
    max_bytes_in_flight: int = Field(
        0,
        ge=0,
        description="Bytes of requests that the server holds at a time; 0: a sixteenth of the usable memory.",
    )
    response_cache_bytes: Annotated[int, AfterValidator(_cache_bytes)] = Field(
        0,
        description="Memory for responses that the server keeps: the same image, model and options run no "
        "network again; 0: keep none.",
        json_schema_extra={
            EXPECTED: f"0, or a whole number of bytes from {_LEAST_CACHE_BYTES} to {_most_cache_bytes()}, "
            "half of the usable memory"
        },
    )
    response_cache_per_caller: bool = Field(
        False,
        description="Give a kept response only to the caller whose request it was made for: the name of its "
        "token, else its address.",
    )

    @property
    def effective_max_in_flight(self) -> int:
        """Requests inside at a time."""
        return self.max_in_flight or max(1024, 64 * usable_cpus())

    @property
    def max_message_bytes(self) -> int:
        """The longest message that gRPC reads; one that is longer than the limit of an image is refused."""
        return self.max_image_bytes + max(self.max_image_bytes // 4, _MESSAGE_BYTES_BESIDE_IMAGE)

    @property
    def max_body_bytes(self) -> int:
        """The longest body of an HTTP request: an image in base64 takes a third more than its bytes."""
        return max(self.max_message_bytes, 4 * (self.max_image_bytes // 3 + 1) + _MESSAGE_BYTES_BESIDE_IMAGE)

    @property
    def effective_max_bytes_in_flight(self) -> int:
        """Bytes of requests that the server holds at a time."""
        return self.max_bytes_in_flight or usable_memory() // 16

    @property
    def effective_max_receiving(self) -> int:
        """Calls whose request is still being received: half of the memory if each sends the most it may."""
        return self.max_receiving or min(max(32, usable_memory() // 2 // self.max_message_bytes), 1024)
