"""Stubs of the Open Inference Protocol, and its requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass_server.open_inference.byte_strings import join_strings


@pytest.fixture
def v2(server: Any) -> Any:
    """A stub that calls the server of the tiny classifier."""
    return GRPCInferenceServiceStub(server.channel)


@pytest.fixture
def request_for(color_image: Callable[..., bytes]) -> Callable[..., ModelInferRequest]:
    """Return a request with an image of each colour: `request_for("red", "blue", id="an id")`."""

    def make(*colors: str, **fields: Any) -> ModelInferRequest:
        tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[len(colors)])
        raw = join_strings([color_image(color) for color in colors])
        return ModelInferRequest(
            **{"model_name": "colors", "inputs": [tensor], "raw_input_contents": [raw], **fields}
        )

    return make
