"""Every status code that a request can get, with its details."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import TASK_SEGMENT, GetModelRequest, ModelRef
from spyglass_server.engine.models.model import Model

Code = grpc.StatusCode
MakeImage = Callable[..., bytes]
Refused = Callable[[Callable[[], object]], Any]


def raw(height: int, width: int, channels: int, size: int) -> Image:
    return Image(raw=RawImage(height=height, width=width, channels=channels, data=bytes(size)))


@pytest.fixture
def strict(run_server: Callable[..., Any]) -> Any:
    return run_server(max_image_bytes=100_000, max_image_pixels=10_000)


@pytest.mark.parametrize(
    ("image", "reason", "field"),
    [
        (Image(), "IMAGE_MISSING", "image"),
        (Image(encoded=b""), "IMAGE_EMPTY", "image"),
        (Image(encoded=b"hello"), "IMAGE_UNRECOGNISED", "image"),
        (Image(encoded=b"%PDF-1.7"), "IMAGE_FORMAT_NOT_ALLOWED", "image"),
        (Image(encoded=b"\xff\xd8\xff\xe0"), "IMAGE_CORRUPT", "image"),
        (Image(raw=RawImage()), "IMAGE_SHAPE", "image.raw"),
        (raw(4, 4, 3, 47), "IMAGE_SHAPE", "image.raw"),
        (raw(4, 4, 3, 49), "IMAGE_SHAPE", "image.raw"),
        (raw(4, 4, 2, 32), "IMAGE_SHAPE", "image.raw"),
        (raw(4, 4, 0, 0), "IMAGE_SHAPE", "image.raw"),
        (raw(2**32 - 1, 2**32 - 1, 4, 8), "IMAGE_SHAPE", "image.raw"),
    ],
)
def test_a_file_that_is_not_an_image_is_an_invalid_argument(
    strict: Any, refused: Refused, image: Image, reason: str, field: str
) -> None:
    refusal = refused(lambda: strict.vision.Classify(ClassifyRequest(image=image)))

    assert (refusal.code, refusal.reason, refusal.fields) == (Code.INVALID_ARGUMENT, reason, [field])


def test_a_request_without_an_image_is_an_invalid_argument(strict: Any, refused: Refused) -> None:
    refusal = refused(lambda: strict.vision.Classify(ClassifyRequest()))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "IMAGE_MISSING")


def test_a_truncated_image_is_an_invalid_argument(
    strict: Any, refused: Refused, color_image: MakeImage
) -> None:
    whole = color_image("red", (90, 90))

    refusal = refused(lambda: strict.vision.Classify(ClassifyRequest(image=Image(encoded=whole[:-30]))))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "IMAGE_TRUNCATED")


def test_a_top_k_above_the_number_of_classes_is_an_invalid_argument(
    strict: Any, refused: Refused, color_image: MakeImage
) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red")), top_k=4)

    refusal = refused(lambda: strict.vision.Classify(request))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "TOP_K_INVALID")
    assert refusal.fields == ["top_k"]


def test_a_version_without_a_name_is_an_invalid_argument(
    strict: Any, refused: Refused, color_image: MakeImage
) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red")), model=ModelRef(version=1))

    refusal = refused(lambda: strict.vision.Classify(request))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "MODEL_NAME_MISSING")


def test_more_pixels_than_the_limit_are_out_of_range(
    strict: Any, refused: Refused, color_image: MakeImage
) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red", (100, 101))))

    refusal = refused(lambda: strict.vision.Classify(request))

    assert (refusal.code, refusal.reason) == (Code.OUT_OF_RANGE, "IMAGE_TOO_MANY_PIXELS")
    assert refusal.fields == ["image"]


def test_more_raw_pixels_than_the_limit_are_out_of_range(strict: Any, refused: Refused) -> None:
    request = ClassifyRequest(image=raw(100, 101, 1, 10_100))

    assert refused(lambda: strict.vision.Classify(request)).code is Code.OUT_OF_RANGE


def test_more_bytes_than_the_limit_are_out_of_range(strict: Any, refused: Refused) -> None:
    request = ClassifyRequest(image=Image(encoded=bytes(100_001)))

    refusal = refused(lambda: strict.vision.Classify(request))

    assert (refusal.code, refusal.reason) == (Code.OUT_OF_RANGE, "IMAGE_TOO_MANY_BYTES")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ModelRef(name="other"), "MODEL_NOT_FOUND"),
        (ModelRef(name="colors", version=2), "VERSION_NOT_FOUND"),
        (ModelRef(name="colors", version=-1), "VERSION_NOT_FOUND"),
        (ModelRef(name="colors", label="stable"), "LABEL_NOT_FOUND"),
        (ModelRef(name="é" * 50_000), "MODEL_NOT_FOUND"),
        (ModelRef(name="colors", label="x" * 50_000), "LABEL_NOT_FOUND"),
    ],
    ids=["name", "version", "negative version", "label", "long name", "long label"],
)
def test_a_model_that_is_not_served_is_not_found(
    strict: Any, refused: Refused, color_image: MakeImage, model: ModelRef, reason: str
) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red")), model=model)

    for call in (
        lambda: strict.vision.Classify(request),
        lambda: strict.vision.GetModel(GetModelRequest(model=model)),
    ):
        refusal = refused(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, reason)
        assert refusal.fields[0].startswith("model.")


@pytest.mark.parametrize(
    ("request_", "code", "reason", "field"),
    [
        (GetModelRequest(task=TASK_SEGMENT), Code.NOT_FOUND, "NO_DEFAULT_MODEL", "model.name"),
        (GetModelRequest(task=77), Code.INVALID_ARGUMENT, "TASK_UNKNOWN", "task"),  # type: ignore[arg-type]
        (
            GetModelRequest(model=ModelRef(name="colors"), task=TASK_SEGMENT),
            Code.FAILED_PRECONDITION,
            "MODEL_TASK_MISMATCH",
            "model.name",
        ),
        (
            GetModelRequest(model=ModelRef(version=1)),
            Code.INVALID_ARGUMENT,
            "MODEL_NAME_MISSING",
            "model.name",
        ),
    ],
    ids=["no default", "unknown task", "other task", "version alone"],
)
def test_an_invalid_request_for_a_card_is_refused(
    strict: Any, refused: Refused, request_: GetModelRequest, code: Code, reason: str, field: str
) -> None:
    refusal = refused(lambda: strict.vision.GetModel(request_))
    assert (refusal.code, refusal.reason, refusal.fields) == (code, reason, [field])


def test_a_model_for_another_task_is_a_failed_precondition(
    run_server: Callable[..., Any],
    refused: Refused,
    segmenting_models: Path,
    tmp_path: Path,
    color_image: MakeImage,
) -> None:
    shutil.copytree(segmenting_models / "pad", tmp_path / "pad")
    server = run_server(models=tmp_path)
    image = Image(encoded=color_image("red"))

    named = refused(lambda: server.vision.Classify(ClassifyRequest(image=image, model=ModelRef(name="pad"))))
    unnamed = refused(lambda: server.vision.Classify(ClassifyRequest(image=image)))

    assert (named.code, named.reason) == (Code.FAILED_PRECONDITION, "MODEL_TASK_MISMATCH")
    assert (unnamed.code, unnamed.reason) == (Code.NOT_FOUND, "NO_DEFAULT_MODEL")


def test_an_unknown_method_is_unimplemented(strict: Any) -> None:
    call = strict.channel.unary_unary("/spyglass.v1.Vision/Guess")

    with pytest.raises(grpc.RpcError) as raised:
        call(b"")

    assert raised.value.code() is Code.UNIMPLEMENTED


@pytest.mark.parametrize("failure", ["not finite", "raises"])
def test_a_fault_of_the_server_is_internal_and_shows_only_the_request_id(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    refused: Refused,
    color_image: MakeImage,
    caplog: pytest.LogCaptureFixture,
    failure: str,
) -> None:
    server = run_server(open_network)

    def fail(pixels: np.ndarray) -> np.ndarray:
        if failure == "raises":
            raise RuntimeError("secret of /srv/models")
        return np.full((len(pixels), 3), np.nan, np.float32)

    network.compute = fail
    with caplog.at_level(logging.ERROR):
        refusal = refused(
            lambda: server.vision.Classify(
                ClassifyRequest(image=Image(encoded=color_image("red"))),
                metadata=[("x-request-id", "order-7")],
            )
        )

    assert refusal.code is Code.INTERNAL
    assert refusal.message == "the server failed; quote the request id order-7"
    assert refusal.request_id == "order-7"
    assert refusal.reason == {"raises": "INTERNAL", "not finite": "OUTPUT_NOT_FINITE"}[failure]
    assert caplog.records


def test_no_refusal_shows_internals_or_paths_of_the_server(
    strict: Any, refused: Refused, tiny_models: Path, color_image: MakeImage
) -> None:
    requests = [
        ClassifyRequest(),
        ClassifyRequest(image=Image(encoded=color_image("red")[:40])),
        ClassifyRequest(image=Image(encoded=color_image("red")[:45])),
        ClassifyRequest(image=Image(encoded=b"II*\0" + bytes(40))),
        ClassifyRequest(image=Image(encoded=color_image("red")), model=ModelRef(name="../../etc/passwd")),
    ]

    for request in requests:
        message = refused(lambda request=request: strict.vision.Classify(request)).message
        assert not re.search(r"Traceback|File \"|\.py|0x[0-9a-f]{6}|Error\b", message)
        assert str(tiny_models) not in message
