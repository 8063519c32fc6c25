"""A real server process with the bundled models, and a photograph in every format."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2_grpc import HealthStub
from PIL import Image as PillowImage

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.image_pb2 import Image
from spyglass.v1.vision_pb2_grpc import VisionStub


@dataclass
class Service:
    """A server process, a channel to it, and the stubs of its services."""

    process: Any
    channel: grpc.Channel

    def __post_init__(self) -> None:
        self.vision = VisionStub(self.channel)
        self.health = HealthStub(self.channel)

    def classify(self, image: bytes | Image, **fields: object) -> ClassifyResponse:
        """Classify a file or an image message and return the response. Raises grpc.RpcError."""
        image = Image(encoded=image) if isinstance(image, bytes) else image
        reply: ClassifyResponse = self.vision.Classify(ClassifyRequest(image=image, **fields), timeout=60)
        return reply

    def outcome(self, image: bytes | Image) -> tuple[grpc.StatusCode, str]:
        """Classify and return the status code and, if the call fails, the reason code."""
        try:
            self.classify(image)
        except grpc.RpcError as error:
            trailing = dict(error.trailing_metadata())
            info = ErrorInfo()
            for detail in Status.FromString(trailing.get("grpc-status-details-bin", b"")).details:
                detail.Unpack(info)
            return error.code(), info.reason
        return grpc.StatusCode.OK, ""

    @property
    def resident_megabytes(self) -> float:
        return float(psutil.Process(self.process.process.pid).memory_info().rss) / 2**20

    @property
    def peak_megabytes(self) -> float:
        """The peak of resident memory since `forget_peak`, in MB."""
        status = (self._proc / "status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) / 2**10

    def forget_peak(self) -> None:
        """Reset the peak of resident memory to its present value: see clear_refs in proc(5)."""
        (self._proc / "clear_refs").write_text("5")

    @property
    def _proc(self) -> Path:
        return Path("/proc", str(self.process.process.pid))


@pytest.fixture(scope="session")
def start_service(
    spawn_server: Callable[..., Any], repository_root: Path
) -> Iterator[Callable[..., Service]]:
    """Start a server with the bundled models: `start_service("--grace-seconds", 5)`."""
    channels = []

    def start(*flags: object) -> Service:
        process = spawn_server("--models", repository_root / "models", *flags)
        process.wait_until_serving()
        channels.append(grpc.insecure_channel(process.address, [("grpc.max_receive_message_length", -1)]))
        return Service(process, channels[-1])

    yield start
    for channel in channels:
        channel.close()


@pytest.fixture(scope="session")
def service(start_service: Callable[..., Service]) -> Service:
    """The server that most tests share. A test must leave it usable for the next one."""
    return start_service()


@pytest.fixture(scope="session")
def coffee(repository_root: Path) -> bytes:
    """A JPEG of a cup, 600 × 400 pixels."""
    return (repository_root / "examples/coffee.jpg").read_bytes()


@pytest.fixture(scope="session")
def cat_files(chelsea: bytes, encode: Callable[..., bytes]) -> dict[str, bytes]:
    """The cat at 120 × 80 pixels in each supported format."""
    cat = PillowImage.open(io.BytesIO(chelsea)).convert("RGB").resize((120, 80))
    return {
        "jpeg": encode(cat, "JPEG"),
        "progressive": encode(cat, "JPEG", progressive=True),
        "png": encode(cat, "PNG"),
        "palette": encode(cat.convert("P"), "PNG", transparency=3),
        "gif": encode(cat, "GIF"),
        "webp": encode(cat, "WEBP"),
        "lossless": encode(cat, "WEBP", lossless=True),
        "bmp": encode(cat, "BMP"),
        "tiff": encode(cat, "TIFF"),
        "lzw": encode(cat, "TIFF", compression="tiff_lzw"),
    }
