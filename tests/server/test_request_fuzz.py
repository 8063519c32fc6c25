"""Random requests of every kind, to a server with little memory: it refuses them, and survives."""

from __future__ import annotations

import io
import resource
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from request_faults import REQUEST_FAULTS
from spyglass.inference import v2_pb2
from spyglass.v1 import vision_pb2

MAX_MESSAGE = 4 * 1024 * 1024
# Address space in addition to that of a server with a loaded model; a thread reserves 8 MiB.
EXTRA_MEMORY = 768 * 1024 * 1024
METHODS = vision_pb2.DESCRIPTOR.services_by_name["Vision"].methods
TENSOR_METHODS = v2_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
DEEPEST = 6

# Texts, bytes that are not text, and bytes that are empty messages if they are read as fields.
UNITS = st.sampled_from([b"\0", b"x", b"\xff", b"\xc3\xa9", b"\n\0", b"\x12\0", b"{"])
SIZES = st.one_of(
    st.integers(0, 300), st.sampled_from([1 << 10, 1 << 16, 1 << 17, MAX_MESSAGE, 2 * MAX_MESSAGE])
)
BLOBS = st.builds(lambda size, unit: (unit * (size // len(unit) + 1))[:size], SIZES, UNITS)
TIMES = st.sampled_from([1, 2, 40, 1000, MAX_MESSAGE])


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def repeated(part: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda data, times: data * min(times, MAX_MESSAGE // max(1, len(data))), part, TIMES)


def parts(descriptor: Descriptor, depth: int) -> list[st.SearchStrategy[bytes]]:
    """The fields of a message, with any content, and an unknown one."""
    made = [st.just(b""), BLOBS.map(lambda data: field(1000, data))]
    for each in descriptor.fields:
        number = each.number
        if each.message_type and depth < DEEPEST:
            inner = message(each.message_type, depth + 1)
            made.append(inner.map(lambda data, n=number: field(n, data)))
            made.append(repeated(st.just(field(number, b""))))
        elif each.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            made.append(BLOBS.map(lambda data, n=number: field(n, data)))
            made.append(st.just(field(number, png())))
        else:
            values = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1))
            made.append(values.map(lambda value, n=number: varint(n << 3) + varint(value)))
    return made


def message(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[bytes]:
    part = st.one_of(parts(descriptor, depth))
    return st.one_of(st.lists(part, max_size=6).map(b"".join), repeated(part), part if depth else BLOBS)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


def send(channel: grpc.Channel, method: MethodDescriptor, data: bytes) -> str:
    """Return the name of the status code."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if "Stream" in method.name:
            list(channel.stream_stream(path)(iter([data, data]), timeout=60))
        else:
            channel.unary_unary(path)(data, timeout=60)
    except grpc.RpcError as error:
        assert len(error.details()) < 600, error.details()
        return str(error.code().name)
    return "OK"


@pytest.mark.parametrize(
    ("methods", "examples"),
    [
        (METHODS, 40),
        pytest.param(METHODS, 500, marks=pytest.mark.slow),
        pytest.param(TENSOR_METHODS, 500, marks=pytest.mark.slow),
    ],
    ids=["fast", "thorough", "tensors"],
)
def test_no_request_ends_the_server_or_uses_up_its_memory(
    spawn_server: Callable[..., Any],
    tiny_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    methods: Any,
    examples: int,
) -> None:
    # A limit of address space includes reserved memory: each arena of the C library reserves 64 MiB.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    limits = ("--concurrency", 1, "--max-in-flight", 4, "--max-streams", 4, "--max-image-bytes", MAX_MESSAGE)
    server = spawn_server("--models", tiny_models, *limits)
    server.wait_until_serving()
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[0]
    memory = int(pages) * resource.getpagesize() + EXTRA_MEMORY
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (memory, memory))
    codes: Counter[str] = Counter()
    calls = st.one_of([st.tuples(st.just(method), message(method.input_type)) for method in methods])

    with grpc.insecure_channel(server.address) as channel:

        @seed(12)
        @settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(calls)
        def fuzz(call: tuple[MethodDescriptor, bytes]) -> None:
            code = send(channel, *call)
            codes[code] += 1
            # Shared memory, sequences and settings of the process.
            accepted = REQUEST_FAULTS | {"UNIMPLEMENTED"} if methods is TENSOR_METHODS else REQUEST_FAULTS
            assert code in accepted, (code, call[0].name, call[1][:200])

        fuzz()

    server.process.terminate()
    assert server.wait_until_ended() == 0, server.log[-5:]
    assert "Traceback" not in "".join(server.log)
    assert len(codes) >= 3
