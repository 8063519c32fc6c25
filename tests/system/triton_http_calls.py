"""Calls of tritonclient over HTTP against a server, in a process of their own.

Run as `python triton_http_calls.py CASE ADDRESS IMAGE`; it exits with 0 if everything is as it should be.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

# Methods that the server refuses: there is no shared memory, and settings are read once.
REFUSED = {
    "register_system_shared_memory": ("region", "/key", 64),
    "register_cuda_shared_memory": ("region", b"aGFuZGxl", 0, 64),
    "unregister_system_shared_memory": (),
    "unregister_cuda_shared_memory": (),
    "get_system_shared_memory_status": (),
    "get_cuda_shared_memory_status": (),
    "update_trace_settings": (),
    "get_trace_settings": (),
    "update_log_settings": ({},),
    "get_log_settings": (),
}


def files(image: bytes, count: int) -> Any:
    """Return the input of encoded images."""
    tensor = triton.InferInput("image", [count], "BYTES")
    return tensor.set_data_from_numpy(np.array([image] * count, object))


def pixels(count: int, *, binary: bool = True) -> Any:
    """Return the input of grey pixels for `mnist-convnet`."""
    values = np.random.default_rng(3).integers(0, 256, (count, 28, 28, 1), np.uint8)
    tensor = triton.InferInput("image", values.shape, "UINT8")
    return tensor.set_data_from_numpy(values, binary_data=binary)


def refusal(call: Any) -> str:
    """Return the status of a call that fails."""
    try:
        call()
    except InferenceServerException as error:
        assert error.message() and "Traceback" not in error.message()
        return str(error.status())
    raise AssertionError("the call did not fail")


def blocking(address: str, image: bytes) -> None:
    """Call every method of the blocking client."""
    with triton.InferenceServerClient(address, concurrency=4) as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("imagenet", "1") and not client.is_model_ready("imagenet", "2")
        assert client.get_server_metadata()["name"] == "spyglass"
        metadata = client.get_model_metadata("foreground")
        assert [each["name"] for each in metadata["outputs"]] == ["probabilities", "mask"]
        assert client.get_model_config("imagenet")["max_batch_size"] == 128
        assert {entry["state"] for entry in client.get_model_repository_index()} == {"READY"}

        classes = triton.InferRequestedOutput("probabilities", class_count=3)
        result = client.infer("imagenet", [files(image, 2)], outputs=[classes], request_id="an id")
        assert result.get_response()["id"] == "an id" and result.get_response()["model_version"] == "1"
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
        ).as_numpy("heatmap")
        assert heatmap.shape == (1, 224, 224) and 0.99 < heatmap.max() <= 1

        parts = client.infer("foreground", [files(image, 2)])
        mask = parts.as_numpy("mask")
        assert mask.shape == (2, 200, 200) and mask.dtype == np.uint8
        assert parts.as_numpy("probabilities").shape == (2, 200, 200, 3)

        both = [client.infer("mnist-convnet", [pixels(16, binary=binary)]) for binary in (True, False)]
        as_json = triton.InferRequestedOutput("probabilities", binary_data=False)
        both.append(client.infer("mnist-convnet", [pixels(16)], outputs=[as_json]))
        for each in both:
            np.testing.assert_allclose(
                each.as_numpy("probabilities"), both[0].as_numpy("probabilities"), atol=1e-6
            )

        later = [client.async_infer("imagenet", [files(image, 1)]) for _ in range(6)]
        for each in later:
            assert each.get_result().as_numpy("probabilities").argmax() == 282
        # The client reads compressed responses, and the server sends none.
        plain = client.infer("imagenet", [files(image, 1)], response_compression_algorithm="gzip")
        assert plain.as_numpy("probabilities").argmax() == 282

        statistics = client.get_inference_statistics("imagenet")["model_stats"][0]
        assert statistics["inference_count"] == 10

        for name, arguments in REFUSED.items():
            assert refusal(lambda n=name, a=arguments: getattr(client, n)(*a)) == "404"
        for name in ("load_model", "unload_model"):
            assert refusal(lambda n=name: getattr(client, n)("imagenet")) == "501"
        assert refusal(lambda: client.infer("none", [files(image, 1)])) == "404"
        gzip = {"request_compression_algorithm": "gzip"}
        assert refusal(lambda: client.infer("imagenet", [files(image, 1)], **gzip)) == "415"
        shared = triton.InferInput("image", [1], "BYTES")
        shared.set_shared_memory("region", 64)
        assert refusal(lambda: client.infer("imagenet", [shared])) == "501"
        sequence = {"sequence_id": 5, "sequence_start": True}
        assert refusal(lambda: client.infer("imagenet", [files(image, 1)], **sequence)) == "501"
        wrong = triton.InferInput("image", [1, 2], "FP32")
        for binary in (True, False):
            wrong.set_data_from_numpy(np.zeros((1, 2), np.float32), binary_data=binary)
            assert refusal(lambda: client.infer("imagenet", [wrong])) == "400"


def asynchronous(address: str, image: bytes) -> None:
    """Call the methods of the client for asyncio."""

    async def run() -> None:
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_live() and await client.is_server_ready()
            assert await client.is_model_ready("imagenet")
            assert (await client.get_server_metadata())["name"] == "spyglass"
            assert (await client.get_model_metadata("imagenet"))["name"] == "imagenet"
            assert (await client.get_model_config("imagenet"))["name"] == "imagenet"
            assert await client.get_model_repository_index()
            assert (await client.get_inference_statistics())["model_stats"]
            calls = [client.infer("imagenet", [files(image, 1 + number % 2)]) for number in range(8)]
            for number, result in enumerate(await asyncio.gather(*calls)):
                assert result.as_numpy("probabilities").argmax(axis=1).tolist() == [282] * (1 + number % 2)
            try:
                await client.infer("none", [files(image, 1)])
            except InferenceServerException as error:
                assert error.status() == "404" and "no model 'none'" in error.message()
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
        files_of_model = {"file:1/model.onnx": b"bytes"}
        assert refusal(lambda: client.load_model("new", config="{}", files=files_of_model)) in ("400", "501")


def methods(address: str, image: bytes) -> None:
    """Print the public methods of the client."""
    for name in dir(triton.InferenceServerClient):
        if not name.startswith("_"):
            print(name)


CASES = {function.__name__: function for function in (blocking, asynchronous, operating, methods)}

if __name__ == "__main__":
    case, server, photo = sys.argv[1:]
    CASES[case](server, Path(photo).read_bytes())
