"""Tokens and scopes of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from spyglass.inference import v2_pb2
from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass_server.open_inference.byte_strings import join_strings

Code = grpc.StatusCode
PATIENCE = 30


def test_inference_needs_the_scopes_of_its_task_and_model(
    run_server: Callable[..., Any],
    explaining_models: Any,
    token_file: Any,
    refused: Callable[..., Any],
    color_image: Callable[..., bytes],
) -> None:
    classifies = token_file.issue("classifies", "classify", "model:colors")
    explains = token_file.issue("explains", "heatmap", "model:*")
    operates = token_file.issue("operates", "admin")
    running = run_server(models=explaining_models, tokens=token_file.path, admin=True)
    v2 = GRPCInferenceServiceStub(running.channel)

    def infer(token: str, output: str = "probabilities", model: str = "colors") -> Any:
        tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
        request = ModelInferRequest(
            model_name=model,
            inputs=[tensor],
            outputs=[{"name": output}],
            raw_input_contents=[join_strings([color_image("red")])],
        )
        return v2.ModelInfer(request, metadata=bearer(token), timeout=PATIENCE)

    def denied(call: Callable[[], object]) -> tuple[Code, str]:
        refusal = refused(call)
        return refusal.code, refusal.reason

    assert infer(classifies).outputs and infer(explains, "heatmap").outputs
    missing = (Code.PERMISSION_DENIED, "SCOPE_MISSING")
    assert denied(lambda: infer(classifies, "heatmap")) == missing
    assert denied(lambda: infer(explains)) == missing
    assert denied(lambda: infer(classifies, model="plain")) == missing
    assert denied(lambda: infer(classifies, model="none")) == missing
    assert denied(lambda: infer("")) == (Code.UNAUTHENTICATED, "TOKEN_MISSING")

    live = v2_pb2.ServerLiveRequest()
    assert denied(lambda: v2.ServerLive(live, timeout=PATIENCE)) == (Code.UNAUTHENTICATED, "TOKEN_MISSING")
    assert v2.ServerLive(live, metadata=bearer(operates), timeout=PATIENCE).live

    index = v2.RepositoryIndex(v2_pb2.RepositoryIndexRequest(), metadata=bearer(classifies), timeout=PATIENCE)
    assert {each.name for each in index.models} == {"colors"}
    statistics = v2.ModelStatistics(
        v2_pb2.ModelStatisticsRequest(), metadata=bearer(classifies), timeout=PATIENCE
    )
    assert {each.name for each in statistics.model_stats} == {"colors"}

    def unload(token: str) -> Any:
        request = v2_pb2.RepositoryModelUnloadRequest(model_name="plain")
        return v2.RepositoryModelUnload(request, metadata=bearer(token), timeout=PATIENCE)

    assert denied(lambda: unload(explains)) == missing
    unload(operates)


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")] if token else []
