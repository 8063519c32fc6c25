"""What the protocol tells of the server and its models: a request message in, a response message out."""

from __future__ import annotations

from spyglass.inference.v2_pb2 import (
    ModelConfigRequest,
    ModelConfigResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ModelStatisticsRequest,
    ModelStatisticsResponse,
    ServerMetadataResponse,
)
from spyglass_server.engine.call import Call
from spyglass_server.observing.model_totals import TotalsOfModels
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.open_inference.metadata import EXTENSIONS, SERVER_NAME, metadata_of, server_version
from spyglass_server.servicers.open_inference.describing import (
    config_message,
    metadata_message,
    statistics_message,
)
from spyglass_server.servicers.readiness import Readiness


class Descriptions:
    """The calls that run no network. They raise the errors of `OpenInference.find`."""

    def __init__(self, inference: OpenInference, readiness: Readiness, totals: TotalsOfModels) -> None:
        self._inference = inference
        self._readiness = readiness
        self._totals = totals

    def server(self) -> ServerMetadataResponse:
        """Return the name, version and extensions of the server."""
        return ServerMetadataResponse(name=SERVER_NAME, version=server_version(), extensions=EXTENSIONS)

    def model_ready(self, request: ModelReadyRequest, call: Call) -> ModelReadyResponse:
        """Return whether a model serves."""
        ready = self._readiness.is_open and self._inference.is_ready(request.name, request.version, call)
        return ModelReadyResponse(ready=ready)

    def model(self, request: ModelMetadataRequest, call: Call) -> ModelMetadataResponse:
        """Return the tensors of a model."""
        model = self._inference.find(request.name, request.version, call)
        return metadata_message(metadata_of(model, self._inference.models(call)))

    def config(self, request: ModelConfigRequest, call: Call) -> ModelConfigResponse:
        """Return how the server runs a model."""
        model = self._inference.find(request.name, request.version, call)
        metadata, keeps = metadata_of(model, [model]), self._inference.keeps_responses
        return ModelConfigResponse(config=config_message(model, metadata, keeps_responses=keeps))

    def statistics(self, request: ModelStatisticsRequest, call: Call) -> ModelStatisticsResponse:
        """Return what a version, the versions of a model, or all models have done."""
        if request.name and request.version:
            models = [self._inference.find(request.name, request.version, call)]
        elif request.name:
            # Its name is checked as that of any request.
            name = self._inference.find(request.name, "", call).card.name
            models = [model for model in self._inference.models(call) if model.card.name == name]
        else:
            models = list(self._inference.models(call))
        return ModelStatisticsResponse(
            model_stats=[
                statistics_message(model, self._totals.of(model.card.name, model.card.version))
                for model in models
            ]
        )
