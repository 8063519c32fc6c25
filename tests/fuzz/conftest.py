"""A server process that random input reaches for a while, and what it must keep."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import psutil
import pytest

from request_faults import REQUEST_FAULTS
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.vision_pb2_grpc import VisionStub

# A call that takes longer than this hangs. The machine that tests run on may be busy.
HANG_SECONDS = 10.0
_WARM_UP_CALLS = 300
_GROWTH = 96 * 1024 * 1024


class Fuzzed:
    """A server, and the calls that were made to it."""

    def __init__(self, server: Any, seconds: float, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.seed = seed
        self.codes: Counter[str] = Counter()
        self.slowest = 0.0
        self.channel = grpc.insecure_channel(server.address, [("grpc.max_receive_message_length", -1)])
        self.vision = VisionStub(self.channel)
        self._seconds = seconds
        self._process = psutil.Process(server.process.pid)
        self._resident = 0

    def rounds(self) -> Iterator[random.Random]:
        """Yield the source of chance until the time is over."""
        end = time.monotonic() + self._seconds
        while time.monotonic() < end or sum(self.codes.values()) < _WARM_UP_CALLS:
            if not self._resident and sum(self.codes.values()) >= _WARM_UP_CALLS:
                self._resident = self._process.memory_info().rss
            yield self.chance

    def call(self, send: Callable[[], object], accepted: frozenset[str] = REQUEST_FAULTS) -> str:
        """Make a call, check its status, and return the name of it."""
        started, code = time.monotonic(), "OK"
        try:
            send()
        except grpc.RpcError as error:
            code = error.code().name
            assert "Traceback" not in (error.details() or ""), self.seed
        self.slowest = max(self.slowest, time.monotonic() - started)
        assert code in accepted, f"{code}, seed {self.seed}, call {sum(self.codes.values())}"
        self.codes[code] += 1
        return code

    def finish(self, image: bytes, metadata: Sequence[tuple[str, str]] = ()) -> None:
        """Check that the server still works, has logged no fault, and has not grown."""
        request = ClassifyRequest(image=Image(encoded=image))
        assert self.vision.Classify(request, timeout=HANG_SECONDS, metadata=metadata).classes
        grown = self._process.memory_info().rss - self._resident
        print(f"seed {self.seed}: {dict(self.codes)}, slowest {self.slowest:.2f} s, grown {grown >> 20} MB")
        assert not self._resident or grown < _GROWTH, f"{grown:,} bytes, seed {self.seed}"
        self.channel.close()
        self.server.process.terminate()
        assert self.server.wait_until_ended() == 0
        log = "".join(self.server.log)
        assert "Traceback" not in log, log[-3000:]


@pytest.fixture
def fuzzed(
    spawn_server: Callable[..., Any], tiny_models: Any, request: pytest.FixtureRequest
) -> Callable[..., Fuzzed]:
    """Start a server for random input: `fuzzed("--flag", value)`."""

    def start(*flags: object) -> Fuzzed:
        limits = ("--max-image-bytes", 4 << 20, "--max-image-pixels", 4 << 20)
        models = () if "--models" in flags else ("--models", tiny_models)
        server = spawn_server(*models, *limits, *flags)
        server.wait_until_serving()
        return Fuzzed(server, request.config.getoption("fuzz_seconds"), request.config.getoption("fuzz_seed"))

    return start
