"""Random images, requests and metadata: each call ends soon, with a status that fits, and the server goes on.

`make fuzz` runs each test for ten minutes, with a seed that differs each time.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutations import mutate
from PIL import Image as PillowImage

from plain_images import encode_image
from request_faults import REQUEST_FAULTS
from spyglass.inference import v2_pb2
from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import GetModelRequest, ListModelsRequest, ModelRef
from spyglass.v1.segment_pb2 import SegmentRequest
from spyglass_cli.main import main
from spyglass_server.open_inference.byte_strings import join_strings

HANG_SECONDS = 10.0

pytestmark = pytest.mark.slow

METHODS = {
    "Classify": ClassifyRequest(model=ModelRef(name="colors", version=1), top_k=2, id="id", index=7),
    "Heatmap": HeatmapRequest(class_name="red", further=[{"class_index": 1}], top_k=3, id="id"),
    "Segment": SegmentRequest(model=ModelRef(label="stable"), id="id"),
    "GetModel": GetModelRequest(model=ModelRef(name="colors"), with_golden=True),
    "ListModels": ListModelsRequest(),
}


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    """Files of every format."""
    picture = PillowImage.effect_mandelbrot((60, 40), (-3, -2.5, 2, 2.5), 50)
    colored = picture.convert("RGB")
    return [
        encode_image(colored, "JPEG"),
        encode_image(colored, "JPEG", progressive=True, quality=30),
        encode_image(colored.convert("CMYK"), "JPEG"),
        encode_image(colored, "PNG"),
        encode_image(colored.convert("P"), "PNG", transparency=3),
        encode_image(picture.convert("I;16"), "PNG"),
        encode_image(colored, "GIF"),
        encode_image(colored, "WEBP"),
        encode_image(colored.convert("RGBA"), "WEBP", lossless=True),
        encode_image(colored, "BMP"),
        encode_image(colored, "TIFF"),
        encode_image(colored, "TIFF", compression="tiff_lzw"),
        encode_image(picture, "TIFF", compression="tiff_deflate"),
    ]


def test_changed_images_are_classified_or_rejected(fuzzed: Callable[..., Any], files: list[bytes]) -> None:
    target = fuzzed()
    for chance in target.rounds():
        image = Image(encoded=mutate(chance.choice(files), chance, chance.choice(files)))
        target.call(
            lambda image=image: target.vision.Classify(ClassifyRequest(image=image), timeout=HANG_SECONDS)
        )
    assert {"OK", "INVALID_ARGUMENT"} <= set(target.codes)
    target.finish(files[0])


def test_changed_requests_are_answered_or_rejected(fuzzed: Callable[..., Any], files: list[bytes]) -> None:
    target = fuzzed()
    requests = {name: whole(request, files) for name, request in METHODS.items()}
    for chance in target.rounds():
        name = chance.choice([*METHODS])
        data = mutate(chance.choice(requests[name]), chance, chance.choice(requests[name]))
        path = f"/spyglass.v1.Vision/{name}"
        if name in ("Classify", "Heatmap", "Segment") and chance.random() < 0.3:
            stream = target.channel.stream_stream(f"{path}Stream")
            target.call(
                lambda stream=stream, data=data: list(stream(iter([data, data]), timeout=HANG_SECONDS))
            )
        else:
            unary = target.channel.unary_unary(path)
            target.call(lambda unary=unary, data=data: unary(data, timeout=HANG_SECONDS))
    assert {"OK", "INVALID_ARGUMENT"} <= set(target.codes)
    target.finish(files[0])


TENSORS = {
    "ModelMetadata": v2_pb2.ModelMetadataRequest(name="colors", version="1"),
    "ModelConfig": v2_pb2.ModelConfigRequest(name="colors"),
    "ModelReady": v2_pb2.ModelReadyRequest(name="colors"),
    "ModelStatistics": v2_pb2.ModelStatisticsRequest(name="colors"),
    "RepositoryIndex": v2_pb2.RepositoryIndexRequest(),
}


def test_changed_tensors_are_answered_or_rejected(fuzzed: Callable[..., Any], files: list[bytes]) -> None:
    target = fuzzed()
    accepted = REQUEST_FAULTS | {"UNIMPLEMENTED"}
    batches = tensor_requests(files)
    for chance in target.rounds():
        infers = chance.random() < 0.8
        name = "ModelInfer" if infers else chance.choice([*TENSORS])
        choices = batches if infers else [TENSORS[name].SerializeToString()]
        data = mutate(chance.choice(choices), chance, chance.choice(choices))
        path = f"/inference.GRPCInferenceService/{name}"
        if infers and chance.random() < 0.3:
            stream = target.channel.stream_stream(path.replace("ModelInfer", "ModelStreamInfer"))
            target.call(
                lambda stream=stream, data=data: list(stream(iter([data, data]), timeout=HANG_SECONDS)),
                accepted,
            )
        else:
            unary = target.channel.unary_unary(path)
            target.call(lambda unary=unary, data=data: unary(data, timeout=HANG_SECONDS), accepted)
    assert {"OK", "INVALID_ARGUMENT"} <= set(target.codes)
    target.finish(files[0])


def tensor_requests(files: list[bytes]) -> list[bytes]:
    """Return valid requests as bytes: with files and with pixels, each in raw and in typed contents."""
    found = []
    for values, shape, datatype in (
        ([files[6], files[3]], [2], "BYTES"),
        ([*range(192)] * 2, [2, 8, 8, 3], "UINT8"),
    ):
        for raw in (True, False):
            request = ModelInferRequest(
                model_name="colors",
                id="id",
                inputs=[{"name": "image", "datatype": datatype, "shape": shape}],
                outputs=[{"name": "probabilities", "parameters": {"classification": {"int64_param": 2}}}],
                parameters={"timeout": {"int64_param": 5_000_000}, "priority": {"uint64_param": 1}},
            )
            contents = request.inputs[0].contents
            if raw:
                data = join_strings(values) if datatype == "BYTES" else bytes(values)
                request.inputs[0].ClearField("contents")
                request.raw_input_contents.append(data)
            elif datatype == "BYTES":
                contents.bytes_contents.extend(values)
            else:
                contents.uint_contents.extend(values)
            found.append(request.SerializeToString())
    return found


def whole(request: Any, files: list[bytes]) -> list[bytes]:
    """Return valid requests as bytes: with a small file, with pixels, and without an image."""
    found = [request.SerializeToString()]
    if "image" in request.DESCRIPTOR.fields_by_name:
        pixels = RawImage(height=4, width=3, channels=3, data=bytes(36))
        for image in (Image(encoded=files[6]), Image(raw=pixels)):
            with_image = type(request)()
            with_image.CopyFrom(request)
            with_image.image.CopyFrom(image)
            found.append(with_image.SerializeToString())
    return found


def test_any_metadata_is_taken_or_refused(fuzzed: Callable[..., Any], files: list[bytes]) -> None:
    target = fuzzed()
    send_metadata(target, files[0], frozenset({"OK", "RESOURCE_EXHAUSTED"}))
    assert "OK" in target.codes
    target.finish(files[0])


def test_no_metadata_is_taken_for_a_token(
    fuzzed: Callable[..., Any], files: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = tmp_path / "tokens.jsonl"
    arguments = ["--name", "fuzz", "--scope", "classify", "--scope", "model:*"]
    assert main(["token", "new", *arguments, str(tokens)]) == 0
    token = capsys.readouterr().out.strip()
    target = fuzzed("--tokens", tokens)
    send_metadata(target, files[0], frozenset({"UNAUTHENTICATED", "RESOURCE_EXHAUSTED"}), token)
    assert "UNAUTHENTICATED" in target.codes
    target.finish(files[0], [("authorization", f"Bearer {token}")])


def send_metadata(target: Any, image: bytes, accepted: frozenset[str], token: str = "") -> None:
    """Send requests with any metadata, some with a part of a token."""
    request = ClassifyRequest(image=Image(encoded=image))
    for chance in target.rounds():
        metadata = [any_pair(chance) for _ in range(chance.randrange(1, 6))]
        if token and chance.random() < 0.5:
            metadata.append(("authorization", f"Bearer {spoiled(token, chance)}"))
        target.call(
            lambda metadata=metadata: target.vision.Classify(
                request, timeout=HANG_SECONDS, metadata=metadata
            ),
            accepted,
        )


def spoiled(token: str, chance: random.Random) -> str:
    """Return a token that differs from a valid one."""
    place = chance.randrange(len(token))
    other = chance.choice([each for each in string.ascii_letters if each != token[place]])
    return chance.choice((token[:place], token[:place] + other + token[place + 1 :], token + "x", token * 2))


KEYS = ("x-request-id", "x-priority", "x-ordered", "authorization", "traceparent", "tracestate", "baggage")
VALUES = ("bulk", "true", "Bearer x", f"00-{'a' * 32}-{'b' * 16}-01", "%0a")


def any_pair(chance: random.Random) -> tuple[str, str | bytes]:
    """Return a key and a value of metadata."""
    key = chance.choice((*KEYS, "".join(chance.choices(string.ascii_lowercase + "-_.", k=8))))
    size = chance.choice((0, 1, 16, 200, 3000))
    match chance.randrange(3):
        case 0:
            return f"{key}-bin", chance.randbytes(size)
        case 1:
            return key, "".join(chance.choices(string.printable[:95], k=size))
        case _:
            return key, chance.choice(
                ("bulk", "true", "Bearer x", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "%0a")
            )
