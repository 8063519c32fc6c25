"""Calls with the messages of KServe's protocol against a server, in a process of their own.

The package `kserve` needs Kubernetes, pandas and a hundred others. So this process makes its client from the
names, numbers and types of KServe's published open_inference_grpc.proto. Run as
`python kserve_calls.py ADDRESS IMAGE`; it exits with 0 if everything is as it should be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

PATIENCE = 60
# Fields by message: name, number and type; `*` stands for repeated.
MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live 1 bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready 1 bool",
    "ModelReadyRequest": "name 1 string, version 2 string",
    "ModelReadyResponse": "ready 1 bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name 1 string, version 2 string, extensions 3 *string",
    "ModelMetadataRequest": "name 1 string, version 2 string",
    "TensorMetadata": "name 1 string, datatype 2 string, shape 3 *int64",
    "ModelMetadataResponse": (
        "name 1 string, versions 2 *string, platform 3 string, inputs 4 *TensorMetadata, "
        "outputs 5 *TensorMetadata"
    ),
    "InferTensorContents": "uint_contents 4 *uint32, bytes_contents 8 *bytes",
    "InferInputTensor": "name 1 string, datatype 2 string, shape 3 *int64, contents 5 InferTensorContents",
    "InferRequestedOutputTensor": "name 1 string",
    "ModelInferRequest": (
        "model_name 1 string, model_version 2 string, id 3 string, inputs 5 *InferInputTensor, "
        "outputs 6 *InferRequestedOutputTensor, raw_input_contents 7 *bytes"
    ),
    "InferOutputTensor": "name 1 string, datatype 2 string, shape 3 *int64",
    "ModelInferResponse": (
        "model_name 1 string, model_version 2 string, id 3 string, outputs 5 *InferOutputTensor, "
        "raw_output_contents 6 *bytes"
    ),
}


def make_messages() -> dict[str, Any]:
    """Return the classes of all messages."""
    file = FileDescriptorProto(name="open_inference_grpc.proto", package="inference", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in filter(None, fields.split(", ")):
            field, number, kind = text.split()
            added = message.field.add(name=field, number=int(number))
            repeated, kind = kind.startswith("*"), kind.lstrip("*")
            added.label = (
                FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if kind in MESSAGES:
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".inference.{kind}"
            else:
                added.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}"))
        for name in MESSAGES
    }


def main(address: str, image: bytes) -> None:
    """Make every call of KServe's protocol."""
    kinds = make_messages()
    with grpc.insecure_channel(address) as channel:

        def call(name: str, /, **fields: Any) -> Any:
            method = channel.unary_unary(
                f"/inference.GRPCInferenceService/{name}",
                request_serializer=kinds[f"{name}Request"].SerializeToString,
                response_deserializer=kinds[f"{name}Response"].FromString,
            )
            return method(kinds[f"{name}Request"](**fields), timeout=PATIENCE)

        assert call("ServerLive").live and call("ServerReady").ready
        assert call("ModelReady", name="imagenet").ready and not call("ModelReady", name="none").ready
        assert call("ServerMetadata").name == "spyglass"
        metadata = call("ModelMetadata", name="imagenet", version="1")
        assert [each.name for each in metadata.outputs] == ["probabilities", "heatmap"]

        files = {"name": "image", "datatype": "BYTES", "shape": [2]}
        typed = {**files, "contents": {"bytes_contents": [image, image]}}
        response = call("ModelInfer", model_name="imagenet", id="an id", inputs=[typed])
        assert response.id == "an id" and response.model_version == "1"
        assert rows(response).argmax(axis=1).tolist() == [282, 282]

        pixels = np.random.default_rng(3).integers(0, 256, (3, 28, 28, 1), np.uint8)
        tensor = {"name": "image", "datatype": "UINT8", "shape": pixels.shape}
        digits = {"model_name": "mnist-convnet", "inputs": [tensor]}
        raw = call("ModelInfer", raw_input_contents=[pixels.tobytes()], **digits)
        tensor["contents"] = {"uint_contents": pixels.ravel().tolist()}
        np.testing.assert_allclose(rows(call("ModelInfer", **digits)), rows(raw), atol=1e-6)


def rows(response: Any) -> Any:
    """Return the first output of a response."""
    return np.frombuffer(response.raw_output_contents[0], "<f4").reshape(list(response.outputs[0].shape))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_bytes())
