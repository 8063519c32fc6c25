"""The service `inference.GRPCInferenceService`."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from spyglass.inference.v2_pb2 import (
    ModelConfigRequest,
    ModelConfigResponse,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ModelStatisticsRequest,
    ModelStatisticsResponse,
    ModelStreamInferResponse,
    ProcessSettingRequest,
    ProcessSettingResponse,
    RepositoryIndexRequest,
    RepositoryIndexResponse,
    RepositoryModelLoadRequest,
    RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse,
    ServerLiveRequest,
    ServerLiveResponse,
    ServerMetadataRequest,
    ServerMetadataResponse,
    ServerReadyRequest,
    ServerReadyResponse,
    SharedMemoryRequest,
    SharedMemoryResponse,
)
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceServicer
from spyglass_contract.errors import Unimplemented
from spyglass_server.servicers.context import call_of
from spyglass_server.servicers.open_inference.descriptions import Descriptions
from spyglass_server.servicers.open_inference.model_repository import ModelRepository
from spyglass_server.servicers.open_inference.waiting import Waiting
from spyglass_server.servicers.readiness import Readiness


class InferenceService(GRPCInferenceServiceServicer):
    """A shell around `OpenInference`. Inference comes here only if grpcio does not allow direct calls."""

    def __init__(
        self,
        descriptions: Descriptions,
        readiness: Readiness,
        waiting: Waiting,
        models: ModelRepository,
    ) -> None:
        self._descriptions = descriptions
        self._readiness = readiness
        self._waiting = waiting
        self._models = models

    def ServerLive(self, request: ServerLiveRequest, context: grpc.ServicerContext) -> ServerLiveResponse:
        return ServerLiveResponse(live=True)

    def ServerReady(self, request: ServerReadyRequest, context: grpc.ServicerContext) -> ServerReadyResponse:
        return ServerReadyResponse(ready=self._readiness.is_open)

    def ModelReady(self, request: ModelReadyRequest, context: grpc.ServicerContext) -> ModelReadyResponse:
        return self._descriptions.model_ready(request, call_of(context))

    def ServerMetadata(
        self, request: ServerMetadataRequest, context: grpc.ServicerContext
    ) -> ServerMetadataResponse:
        return self._descriptions.server()

    def ModelMetadata(
        self, request: ModelMetadataRequest, context: grpc.ServicerContext
    ) -> ModelMetadataResponse:
        self._readiness.check()
        return self._descriptions.model(request, call_of(context))

    def ModelConfig(self, request: ModelConfigRequest, context: grpc.ServicerContext) -> ModelConfigResponse:
        self._readiness.check()
        return self._descriptions.config(request, call_of(context))

    def ModelInfer(self, request: ModelInferRequest, context: grpc.ServicerContext) -> ModelInferResponse:
        self._readiness.check()
        return self._waiting.infer(request, call_of(context))

    def ModelStreamInfer(
        self, request_iterator: Iterator[ModelInferRequest], context: grpc.ServicerContext
    ) -> Iterator[ModelStreamInferResponse]:
        self._readiness.check()
        yield from self._waiting.stream(request_iterator, call_of(context, patient=True))

    def ModelStatistics(
        self, request: ModelStatisticsRequest, context: grpc.ServicerContext
    ) -> ModelStatisticsResponse:
        self._readiness.check()
        return self._descriptions.statistics(request, call_of(context))

    def RepositoryIndex(
        self, request: RepositoryIndexRequest, context: grpc.ServicerContext
    ) -> RepositoryIndexResponse:
        self._readiness.check()
        return self._models.index(request, call_of(context))

    def RepositoryModelLoad(
        self, request: RepositoryModelLoadRequest, context: grpc.ServicerContext
    ) -> RepositoryModelLoadResponse:
        self._readiness.check()
        return self._models.load(request, call_of(context))

    def RepositoryModelUnload(
        self, request: RepositoryModelUnloadRequest, context: grpc.ServicerContext
    ) -> RepositoryModelUnloadResponse:
        self._readiness.check()
        return self._models.unload(request, call_of(context))

    def SystemSharedMemoryStatus(
        self, request: SharedMemoryRequest, context: grpc.ServicerContext
    ) -> SharedMemoryResponse:
        return SharedMemoryResponse()

    def SystemSharedMemoryUnregister(
        self, request: SharedMemoryRequest, context: grpc.ServicerContext
    ) -> SharedMemoryResponse:
        return SharedMemoryResponse()

    def CudaSharedMemoryStatus(
        self, request: SharedMemoryRequest, context: grpc.ServicerContext
    ) -> SharedMemoryResponse:
        return SharedMemoryResponse()

    def CudaSharedMemoryUnregister(
        self, request: SharedMemoryRequest, context: grpc.ServicerContext
    ) -> SharedMemoryResponse:
        return SharedMemoryResponse()

    def SystemSharedMemoryRegister(
        self, request: SharedMemoryRequest, context: grpc.ServicerContext
    ) -> SharedMemoryResponse:
        raise _no_shared_memory()

    def CudaSharedMemoryRegister(
        self, request: SharedMemoryRequest, context: grpc.ServicerContext
    ) -> SharedMemoryResponse:
        raise _no_shared_memory()

    def TraceSetting(
        self, request: ProcessSettingRequest, context: grpc.ServicerContext
    ) -> ProcessSettingResponse:
        raise _no_settings("traces: set --tracing-endpoint and --tracing-sample")

    def LogSettings(
        self, request: ProcessSettingRequest, context: grpc.ServicerContext
    ) -> ProcessSettingResponse:
        raise _no_settings("the log: set --log-level and --log-format")


def _no_shared_memory() -> Unimplemented:
    return Unimplemented(
        "the server does not read or write shared memory: send and receive tensors in the messages",
        reason="SHARED_MEMORY_UNSUPPORTED",
    )


def _no_settings(what: str) -> Unimplemented:
    return Unimplemented(
        f"a call cannot change the settings of {what} when the server starts", reason="SETTINGS_FIXED"
    )
