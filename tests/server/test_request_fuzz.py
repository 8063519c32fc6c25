"""Random requests of every kind, through the checks and the handlers, in a process with little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Beside what the server takes when it has loaded its model. Every image is small; a field may have megabytes.
EXTRA_MEMORY = 512 * 1024 * 1024
MAX_MESSAGE = 4 * 1024 * 1024

FUZZ = """
import resource, sys, threading
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, seed, settings, strategies as st

from spyglass.v1 import vision_pb2
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings
import grpc

models, examples, extra, longest = Path(sys.argv[1]), *map(int, sys.argv[2:])
# A limit of address space counts what is reserved: small stacks, and (in the environment) two arenas.
threading.stack_size(1 << 19)
server = Server(
    ServerSettings(
        models=models, host="localhost", port=0, workers=1, max_in_flight=4, max_streams=4, max_image_bytes=longest
    )
)
server.start()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + extra, used + extra))

def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])

def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload

sizes = st.one_of(st.integers(0, 300), st.sampled_from([1 << 10, 1 << 16, 1 << 17, longest, 2 * longest]))
filling = st.sampled_from([b"\\0", b"x", b"\\xff", b"\\xc3\\xa9", b"\\n\\0", b"\\x12\\0", b"{"])
blob = st.builds(lambda size, unit: (unit * (size // len(unit) + 1))[:size], sizes, filling)
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082")

def message(descriptor, depth):
    parts = [st.just(b""), blob.map(lambda data: field(1000, data))]
    for each in descriptor.fields:
        number = each.number
        if each.message_type and depth < 6:
            parts.append(message(each.message_type, depth + 1).map(lambda data, n=number: field(n, data)))
            parts.append(repeat(st.just(field(number, b""))))
        elif each.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            parts.append(blob.map(lambda data, n=number: field(n, data)))
            parts.append(st.just(field(number, PNG)))
        else:
            parts.append(st.integers(0, 2**64 - 1).map(lambda value, n=number: varint(n << 3) + varint(value)))
    part = st.one_of(parts)
    return st.one_of(st.lists(part, max_size=6).map(b"".join), repeat(part), blob if depth == 0 else part)

def repeat(part):
    return st.builds(lambda data, times: data * min(times, longest // max(1, len(data))), part,
                     st.sampled_from([1, 2, 40, 1000, longest]))

methods = vision_pb2.DESCRIPTOR.services_by_name["Vision"].methods
calls = st.one_of([
    st.tuples(st.just(method), message(method.input_type, 0)) for method in methods
])
EXPECTED = {"OK", "INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"}
codes, reasons = {}, set()

with grpc.insecure_channel(f"localhost:{server.port}", [("grpc.max_send_message_length", -1)]) as channel:
    @seed(12)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls)
    def fuzz(call):
        method, data = call
        path = "/spyglass.v1.Vision/" + method.name
        try:
            if method.name.endswith("Stream"):
                list(channel.stream_stream(path)(iter([data, data]), timeout=60))
            else:
                channel.unary_unary(path)(data, timeout=60)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
            assert len(error.details()) < 600, error.details()
        codes[code] = codes.get(code, 0) + 1
        assert code in EXPECTED, (code, method.name, data[:200])

    fuzz()
server.stop(grace=5)
print(codes)
"""


@pytest.mark.parametrize(
    "examples", [40, pytest.param(600, marks=pytest.mark.slow)], ids=["fast", "thorough"]
)
def test_no_request_takes_the_server_down_or_its_memory(tiny_models: Path, examples: int) -> None:
    command = [sys.executable, "-c", FUZZ, *map(str, (tiny_models, examples, EXTRA_MEMORY, MAX_MESSAGE))]

    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}

    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)

    assert finished.returncode == 0, (finished.stdout + finished.stderr)[-4000:]
    assert "Traceback" not in finished.stderr
    # The requests are not all refused for the same reason.
    assert finished.stdout.count(":") >= 3, finished.stdout
