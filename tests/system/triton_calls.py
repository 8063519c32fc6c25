"""Calls of tritonclient against a server, in a process of their own.

A process can have the messages of the Open Inference Protocol once: tritonclient brings its own. Run as
`python triton_calls.py CASE ADDRESS IMAGE`; it exits with 0 if everything is as it should be.
"""

from __future__ import annotations

import asyncio
import inspect
import queue
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

PATIENCE = 60
# Methods that the server refuses: there is no shared memory, and settings are read once.
REFUSED = {
    "register_system_shared_memory": ("region", "/key", 64),
    "register_cuda_shared_memory": ("region", b"aGFuZGxl", 0, 64),
    "update_trace_settings": (),
    "get_trace_settings": (),
    "update_log_settings": ({},),
    "get_log_settings": (),
}


def files(image: bytes, count: int) -> Any:
    """Return the input of encoded images."""
    tensor = triton.InferInput("image", [count], "BYTES")
    return tensor.set_data_from_numpy(np.array([image] * count, object))


def pixels(count: int) -> Any:
    """Return the input of grey pixels for `mnist-convnet`."""
    values = np.random.default_rng(3).integers(0, 256, (count, 28, 28, 1), np.uint8)
    return triton.InferInput("image", values.shape, "UINT8").set_data_from_numpy(values)


def blocking(address: str, image: bytes) -> None:
    """Call every method of the blocking client."""
    with triton.InferenceServerClient(address) as client:
        called = {
            "is_server_live": client.is_server_live(),
            "is_server_ready": client.is_server_ready(),
            "is_model_ready": client.is_model_ready("imagenet", "1"),
        }
        assert all(called.values()) and not client.is_model_ready("imagenet", "2")
        assert client.get_server_metadata(as_json=True)["name"] == "spyglass"
        metadata = client.get_model_metadata("foreground")
        assert [each.name for each in metadata.outputs] == ["probabilities", "mask"]
        config = client.get_model_config("imagenet", as_json=True)["config"]
        assert config["max_batch_size"] == 128
        index = client.get_model_repository_index(as_json=True)["models"]
        assert {entry["state"] for entry in index} == {"READY"}

        classes = triton.InferRequestedOutput("probabilities", class_count=3)
        result = client.infer("imagenet", [files(image, 2)], outputs=[classes], request_id="an id")
        assert result.get_response().id == "an id" and result.get_response().model_version == "1"
        texts = result.as_numpy("probabilities")
        assert texts.shape == (2, 3) and texts[0, 0].decode().endswith(":282:tiger cat")

        heatmap = client.infer(
            "imagenet",
            [files(image, 1)],
            model_version="1",
            outputs=[triton.InferRequestedOutput("heatmap")],
            parameters={"class_name": "Egyptian cat"},
            timeout=10_000_000,
            priority=2,
            headers={"x-request-id": "from-triton"},
            client_timeout=PATIENCE,
        ).as_numpy("heatmap")
        assert heatmap.shape == (1, 224, 224) and 0.99 < heatmap.max() <= 1

        parts = client.infer("foreground", [files(image, 2)])
        mask = parts.as_numpy("mask")
        assert mask.shape == (2, 200, 200) and mask.dtype == np.uint8
        assert parts.as_numpy("probabilities").shape == (2, 200, 200, 3)
        assert client.infer("mnist-convnet", [pixels(16)]).as_numpy("probabilities").shape == (16, 10)

        found: queue.Queue[Any] = queue.Queue()
        client.async_infer("imagenet", [files(image, 1)], lambda result, error: found.put((result, error)))
        result, error = found.get(timeout=PATIENCE)
        assert error is None and result.as_numpy("probabilities").argmax() == 282

        statistics = client.get_inference_statistics("imagenet").model_stats[0]
        assert statistics.inference_count == 4 and statistics.inference_stats.success.count == 3
        client.unregister_system_shared_memory()
        client.unregister_cuda_shared_memory()
        assert not client.get_system_shared_memory_status().regions
        assert not client.get_cuda_shared_memory_status().regions
        for name, arguments in REFUSED.items():
            assert refusal(lambda n=name, a=arguments: getattr(client, n)(*a)) == "StatusCode.UNIMPLEMENTED"
        for name in ("load_model", "unload_model"):
            assert refusal(lambda n=name: getattr(client, n)("imagenet")) == "StatusCode.UNIMPLEMENTED"

        assert refusal(lambda: client.infer("none", [files(image, 1)])) == "StatusCode.NOT_FOUND"
        shared = triton.InferInput("image", [1], "BYTES")
        shared.set_shared_memory("region", 64)
        assert refusal(lambda: client.infer("imagenet", [shared])) == "StatusCode.UNIMPLEMENTED"
        sequence = {"sequence_id": 5, "sequence_start": True}
        assert (
            refusal(lambda: client.infer("imagenet", [files(image, 1)], **sequence))
            == "StatusCode.UNIMPLEMENTED"
        )
        wrong = triton.InferInput("image", [1, 2], "FP32")
        wrong.set_data_from_numpy(np.zeros((1, 2), np.float32))
        assert refusal(lambda: client.infer("imagenet", [wrong])) == "StatusCode.INVALID_ARGUMENT"


def refusal(call: Any) -> str:
    """Return the status of a call that fails."""
    try:
        call()
    except InferenceServerException as error:
        assert error.message() and "Traceback" not in error.message()
        return str(error.status())
    raise AssertionError("the call did not fail")


def streaming(address: str, image: bytes) -> None:
    """Send many requests over one stream; some of them fail."""
    found: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(address) as client:
        client.start_stream(callback=lambda result, error: found.put((result, error)))
        for number in range(30):
            client.async_stream_infer(
                "none" if number % 10 == 7 else "mnist-convnet",
                [pixels(1 + number % 3)],
                request_id=str(number),
                enable_empty_final_response=True,
            )
        for number in range(30):
            result, error = found.get(timeout=PATIENCE)
            if number % 10 == 7:
                assert "no model 'none'" in error.message()
                continue
            assert error is None
            response = result.get_response()
            assert response.id == str(number)
            assert response.parameters["triton_final_response"].bool_param
            assert result.as_numpy("probabilities").shape == (1 + number % 3, 10)
        client.stop_stream()


def asynchronous(address: str, image: bytes) -> None:
    """Call the methods of the client for asyncio."""

    async def run() -> None:
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_live() and await client.is_server_ready()
            assert await client.is_model_ready("imagenet")
            assert (await client.get_server_metadata(as_json=True))["name"] == "spyglass"
            assert (await client.get_model_metadata("imagenet")).name == "imagenet"
            assert (await client.get_model_config("imagenet")).config.name == "imagenet"
            assert (await client.get_model_repository_index()).models
            calls = [client.infer("imagenet", [files(image, 1 + number % 2)]) for number in range(8)]
            for number, result in enumerate(await asyncio.gather(*calls)):
                assert result.as_numpy("probabilities").argmax(axis=1).tolist() == [282] * (1 + number % 2)
            statistics = await client.get_inference_statistics("imagenet")
            assert statistics.model_stats[0].inference_count >= 12

            async def requests() -> Any:
                for number in range(6):
                    yield {
                        "model_name": "mnist-convnet" if number != 3 else "none",
                        "inputs": [pixels(2)],
                        "request_id": str(number),
                    }

            stream = client.stream_infer(requests())
            received = [each async for each in stream]
            assert [result.get_response().id for result, error in received if error is None] == list("01245")
            assert len(received) == 6
            try:
                await client.infer("none", [files(image, 1)])
            except InferenceServerException as error:
                assert error.status() == "StatusCode.NOT_FOUND"
            else:
                raise AssertionError("the call did not fail")

    asyncio.run(run())


def operating(address: str, image: bytes) -> None:
    """Unload and load a model."""
    with triton.InferenceServerClient(address) as client:
        client.unload_model("mnist-convnet")
        assert not client.is_model_ready("mnist-convnet")
        client.load_model("mnist-convnet")
        assert client.is_model_ready("mnist-convnet")
        assert client.infer("mnist-convnet", [pixels(1)]).as_numpy("probabilities").shape == (1, 10)


def authorised(address: str, image: bytes) -> None:
    """Send the token that standard input has, with each call and by a plugin."""
    headers = {"authorization": f"Bearer {sys.stdin.read().strip()}"}

    class Token(triton.InferenceServerClientPlugin):
        def __call__(self, request: Any) -> None:
            request.headers.update(headers)

    with triton.InferenceServerClient(address) as client:
        assert refusal(client.is_server_live) == "StatusCode.UNAUTHENTICATED"
        assert client.infer("imagenet", [files(image, 1)], headers=headers).as_numpy("probabilities").any()
        client.register_plugin(Token())
        assert client.is_model_ready("imagenet")
        assert client.infer("imagenet", [files(image, 2)]).as_numpy("probabilities").any()
        heatmap = [triton.InferRequestedOutput("heatmap")]
        call = lambda: client.infer("imagenet", [files(image, 1)], outputs=heatmap)  # noqa: E731
        assert refusal(call) == "StatusCode.PERMISSION_DENIED"


def together(address: str, image: bytes) -> None:
    """Use this client and `spyglass_client` in one process, and compare what they get."""
    from spyglass_client import AsyncClient, Client

    assert AsyncClient
    with Client(address) as spyglass, triton.InferenceServerClient(address) as client:
        best = spyglass.classify(image, model="imagenet").best
        heatmap = spyglass.heatmap(image, model="imagenet")
        probabilities = client.infer("imagenet", [files(image, 1)]).as_numpy("probabilities")[0]
    assert heatmap.target.name == best.name
    np.testing.assert_allclose(probabilities[best.index], best.score, rtol=1e-5)
    assert probabilities.argmax() == best.index


def messages(address: str, image: bytes) -> None:
    """Print each message, field, number and kind that tritonclient has."""
    from tritonclient.grpc import model_config_pb2, service_pb2

    for file in (service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR):
        for message in file.message_types_by_name.values():
            show(message)
        for enum in file.enum_types_by_name.values():
            for value in enum.values:
                print(enum.full_name, value.name, value.number)
        for service in file.services_by_name.values():
            for method in service.methods:
                print(service.full_name, method.name, method.client_streaming, method.server_streaming)


def show(message: Any) -> None:
    for field in message.fields:
        print(message.full_name, field.name, field.number, field.type, field.is_repeated)
    for nested in message.nested_types:
        show(nested)


def methods(address: str, image: bytes) -> None:
    """Print the public names of tritonclient, and the methods of its client."""
    for name in triton.__all__ if hasattr(triton, "__all__") else dir(triton):
        if not name.startswith("_") and inspect.isclass(getattr(triton, name)):
            print(name)
    for name in dir(triton.InferenceServerClient):
        if not name.startswith("_"):
            print(name)


CASES = {
    function.__name__: function
    for function in (
        blocking,
        streaming,
        asynchronous,
        operating,
        authorised,
        together,
        messages,
        methods,
    )
}

if __name__ == "__main__":
    case, server, photo = sys.argv[1:]
    CASES[case](server, Path(photo).read_bytes())
