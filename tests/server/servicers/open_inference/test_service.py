"""The calls of the Open Inference Protocol beside inference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from spyglass.inference import v2_pb2
from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass.v1 import admin_pb2
from spyglass.v1.admin_pb2_grpc import AdminStub
from spyglass.v1.model_pb2 import TrafficShare, VersionSelector
from tiny_classifier import tiny_card, write_tiny_model

Code = grpc.StatusCode
PATIENCE = 30
Make = Callable[..., ModelInferRequest]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with the versions 1 and 2 of `colors`; the server starts with the second."""
    root = tmp_path / "models"
    for version in (1, 2):
        write_tiny_model(root, tiny_card("colors", version))
    return root


def test_a_server_is_live_and_ready_and_names_itself(v2: Any) -> None:
    assert v2.ServerLive(v2_pb2.ServerLiveRequest(), timeout=PATIENCE).live
    assert v2.ServerReady(v2_pb2.ServerReadyRequest(), timeout=PATIENCE).ready
    metadata = v2.ServerMetadata(v2_pb2.ServerMetadataRequest(), timeout=PATIENCE)
    assert metadata.name == "spyglass" and metadata.version and "statistics" in metadata.extensions


def test_a_server_that_drains_is_live_and_not_ready(server: Any, v2: Any) -> None:
    server.server._readiness.drain()
    assert v2.ServerLive(v2_pb2.ServerLiveRequest(), timeout=PATIENCE).live
    assert not v2.ServerReady(v2_pb2.ServerReadyRequest(), timeout=PATIENCE).ready
    assert not v2.ModelReady(v2_pb2.ModelReadyRequest(name="colors"), timeout=PATIENCE).ready


def test_a_model_is_ready_if_it_serves(v2: Any) -> None:
    for name, version, ready in (
        ("colors", "", True),
        ("colors", "1", True),
        ("colors", "2", False),
        ("x" * 1000, "", False),
    ):
        request = v2_pb2.ModelReadyRequest(name=name, version=version)
        assert v2.ModelReady(request, timeout=PATIENCE).ready is ready


def test_metadata_and_configuration_show_the_tensors(v2: Any) -> None:
    metadata = v2.ModelMetadata(v2_pb2.ModelMetadataRequest(name="colors"), timeout=PATIENCE)
    assert (metadata.platform, list(metadata.versions)) == ("onnxruntime_onnx", ["1"])
    assert [(each.name, each.datatype, list(each.shape)) for each in metadata.inputs] == [
        ("image", "UINT8", [-1, 8, 8, 3]),
        ("encoded_image", "BYTES", [-1]),
    ]
    assert [each.name for each in metadata.outputs] == ["probabilities"]

    config = v2.ModelConfig(v2_pb2.ModelConfigRequest(name="colors"), timeout=PATIENCE).config
    assert (config.name, config.backend, config.max_batch_size) == ("colors", "onnxruntime", 128)
    assert [list(each.dims) for each in config.input] == [[8, 8, 3], [1]]
    assert config.input[0].format == v2_pb2.ModelInput.FORMAT_NHWC
    assert config.instance_group[0].count == 1
    assert len(config.parameters["sha256"].string_value) == 64


def test_unknown_models_have_neither(v2: Any, refused: Callable[..., Any]) -> None:
    for call in (
        lambda: v2.ModelMetadata(v2_pb2.ModelMetadataRequest(name="none"), timeout=PATIENCE),
        lambda: v2.ModelConfig(v2_pb2.ModelConfigRequest(name="colors", version="7"), timeout=PATIENCE),
        lambda: v2.ModelStatistics(v2_pb2.ModelStatisticsRequest(name="none"), timeout=PATIENCE),
    ):
        assert refused(call).code is Code.NOT_FOUND


def test_statistics_count_requests_images_and_times(v2: Any, request_for: Make) -> None:
    v2.ModelInfer(request_for("red", "blue"), timeout=PATIENCE)
    list(v2.ModelStreamInfer(iter([request_for("red")]), timeout=PATIENCE))
    with pytest.raises(grpc.RpcError):
        v2.ModelInfer(request_for("red", raw_input_contents=[b""]), timeout=PATIENCE)

    for request in (
        v2_pb2.ModelStatisticsRequest(),
        v2_pb2.ModelStatisticsRequest(name="colors"),
        v2_pb2.ModelStatisticsRequest(name="colors", version="1"),
    ):
        (found,) = v2.ModelStatistics(request, timeout=PATIENCE).model_stats
        times = found.inference_stats
        assert (found.name, found.version, found.inference_count) == ("colors", "1", 3)
        assert (times.success.count, times.fail.count) == (2, 1)
        assert 1 <= found.execution_count <= 3
        for stage in (times.queue, times.compute_input, times.compute_infer, times.compute_output):
            assert stage.count == 3
        assert 0 < times.compute_infer.ns < times.success.ns
        assert sum(each.batch_size * each.compute_infer.count for each in found.batch_stats) == 3
        assert found.last_inference > 1_700_000_000_000


def test_configuration_and_statistics_show_the_response_cache(
    run_server: Callable[..., Any], request_for: Make
) -> None:
    v2 = GRPCInferenceServiceStub(run_server(response_cache_bytes=1 << 20).channel)
    for colors in (["red"], ["red"], ["red", "blue"]):
        v2.ModelInfer(request_for(*colors), timeout=PATIENCE)

    config = v2.ModelConfig(v2_pb2.ModelConfigRequest(name="colors"), timeout=PATIENCE).config
    (found,) = v2.ModelStatistics(v2_pb2.ModelStatisticsRequest(), timeout=PATIENCE).model_stats
    assert config.response_cache.enable
    assert (found.inference_count, found.execution_count) == (4, 2)
    assert found.inference_stats.cache_hit.count == 2
    assert found.inference_stats.success.count == 3


def test_shared_memory_and_settings_of_the_process_are_refused_in_words(
    v2: Any, refused: Callable[..., Any]
) -> None:
    memory = v2_pb2.SharedMemoryRequest()
    for name in ("SystemSharedMemory", "CudaSharedMemory"):
        assert not getattr(v2, f"{name}Status")(memory, timeout=PATIENCE).ByteSize()
        getattr(v2, f"{name}Unregister")(memory, timeout=PATIENCE)
        register = getattr(v2, f"{name}Register")
        refusal = refused(lambda register=register: register(memory, timeout=PATIENCE))
        assert (refusal.code, refusal.reason) == (Code.UNIMPLEMENTED, "SHARED_MEMORY_UNSUPPORTED")
    for name in ("TraceSetting", "LogSettings"):
        call = getattr(v2, name)
        refusal = refused(lambda call=call: call(v2_pb2.ProcessSettingRequest(), timeout=PATIENCE))
        assert (refusal.code, refusal.reason) == (Code.UNIMPLEMENTED, "SETTINGS_FIXED")


def test_an_operator_loads_and_unloads_models(
    run_server: Callable[..., Any], models: Path, request_for: Make, refused: Callable[..., Any]
) -> None:
    v2 = GRPCInferenceServiceStub(run_server(models=models, admin=True).channel)

    def index(**fields: Any) -> list[tuple[str, str, str]]:
        response = v2.RepositoryIndex(v2_pb2.RepositoryIndexRequest(**fields), timeout=PATIENCE)
        return [(each.name, each.version, each.state) for each in response.models]

    assert index() == [("colors", "2", "READY")]
    v2.RepositoryModelUnload(v2_pb2.RepositoryModelUnloadRequest(model_name="colors"), timeout=PATIENCE)
    assert index(ready=True) == []
    assert refused(lambda: v2.ModelInfer(request_for("red"), timeout=PATIENCE)).code is Code.NOT_FOUND

    write_tiny_model(models, tiny_card("colors", 3))
    v2.RepositoryModelLoad(v2_pb2.RepositoryModelLoadRequest(model_name="colors"), timeout=PATIENCE)
    assert index(ready=True) == [("colors", "3", "READY")]
    assert v2.ModelInfer(request_for("red"), timeout=PATIENCE).model_version == "3"

    refusal = refused(
        lambda: v2.RepositoryModelLoad(v2_pb2.RepositoryModelLoadRequest(model_name="none"), timeout=PATIENCE)
    )
    assert refusal.code in (Code.NOT_FOUND, Code.FAILED_PRECONDITION)
    config = v2_pb2.RepositoryModelLoadRequest(
        model_name="colors", parameters={"config": {"string_param": "{}"}}
    )
    assert refused(lambda: v2.RepositoryModelLoad(config, timeout=PATIENCE)).code is Code.UNIMPLEMENTED
    other = v2_pb2.RepositoryIndexRequest(repository_name="x" * 10_000)
    assert refused(lambda: v2.RepositoryIndex(other, timeout=PATIENCE)).reason == "REPOSITORY_NOT_FOUND"


def test_without_admin_nothing_is_loaded(v2: Any, refused: Callable[..., Any]) -> None:
    for call in (
        lambda: v2.RepositoryModelLoad(v2_pb2.RepositoryModelLoadRequest(model_name="colors")),
        lambda: v2.RepositoryModelUnload(v2_pb2.RepositoryModelUnloadRequest(model_name="colors")),
    ):
        refusal = refused(call)
        assert (refusal.code, refusal.reason) == (Code.UNIMPLEMENTED, "ADMIN_OFF")


def test_a_version_may_be_named_by_a_label_and_an_id_keeps_its_side_of_a_traffic_share(
    run_server: Callable[..., Any], models: Path, request_for: Make, refused: Callable[..., Any]
) -> None:
    running = run_server(models=models, versions="all", admin=True)
    v2, admin = GRPCInferenceServiceStub(running.channel), AdminStub(running.channel)

    def version(named: str = "", **fields: Any) -> str:
        request = request_for("red", model_version=named, **fields)
        return str(v2.ModelInfer(request, timeout=PATIENCE).model_version)

    assert refused(lambda: version("stable")).reason == "LABEL_NOT_FOUND"
    admin.SetLabel(admin_pb2.SetLabelRequest(name="colors", label="stable", version=1), timeout=PATIENCE)
    assert (version("stable"), version(), version("2")) == ("1", "1", "2")
    assert v2.ModelReady(v2_pb2.ModelReadyRequest(name="colors", version="stable"), timeout=PATIENCE).ready

    share = TrafficShare(
        source=VersionSelector(label="stable"), target=VersionSelector(version=2), percent=50
    )
    admin.SetTraffic(admin_pb2.SetTrafficRequest(name="colors", share=share), timeout=PATIENCE)
    found = {str(number): version(id=str(number)) for number in range(40)}
    assert set(found.values()) == {"1", "2"}
    assert {number: version(id=number) for number in found} == found
