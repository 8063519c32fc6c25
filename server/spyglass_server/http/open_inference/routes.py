"""The routes of the Open Inference Protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spyglass.inference import v2_pb2 as v2
from spyglass_contract.errors import PermissionDenied
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.http.exchange import Answer, Exchanges, Operation
from spyglass_server.http.open_inference.answers import error_response, infer_answer
from spyglass_server.http.open_inference.plain import plain
from spyglass_server.http.open_inference.requests import infer_request, json_object
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.open_inference.tensors import InferResult
from spyglass_server.servicers.open_inference.descriptions import Descriptions
from spyglass_server.servicers.open_inference.messages import cost_of_request, request_of
from spyglass_server.servicers.open_inference.model_repository import ModelRepository
from spyglass_server.servicers.readiness import Readiness

_SERVICE = "/inference.GRPCInferenceService"
_JSON = "application/json"

Parse = Callable[[Request, bytes], Any]
Handle = Callable[[Any, Call], Message]


class InferenceRoutes:
    """Makes the routes."""

    def __init__(
        self,
        inference: OpenInference,
        descriptions: Descriptions,
        models: ModelRepository,
        readiness: Readiness,
        exchanges: Exchanges,
    ) -> None:
        self._inference = inference
        self._descriptions = descriptions
        self._models = models
        self._readiness = readiness
        self._exchanges = exchanges

    def routes(self) -> list[Route]:
        """Return every route."""
        described, statistics = self._descriptions, _named(v2.ModelStatisticsRequest)
        infer = Operation(
            f"{_SERVICE}/ModelInfer",
            infer_request,
            self._infer,
            lambda request, pair: infer_answer(*pair),
            cost_of_request,
            error_response,
        )
        found = [
            Route("/v2", self._server, methods=["GET"]),
            Route("/v2/health/live", self._live, methods=["GET"]),
            Route("/v2/health/ready", self._ready, methods=["GET"]),
            self._route("/v2/models/stats", "ModelStatistics", statistics, described.statistics),
            self._route("/v2/repository/index", "RepositoryIndex", _index, self._models.index, "POST"),
            self._route(
                "/v2/repository/models/{model}/load", "RepositoryModelLoad", _load, self._models.load, "POST"
            ),
            self._route(
                "/v2/repository/models/{model}/unload",
                "RepositoryModelUnload",
                _unload,
                self._models.unload,
                "POST",
            ),
        ]
        for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            found += [
                Route(f"{path}/infer", self._running(infer), methods=["POST"]),
                self._route(path, "ModelMetadata", _named(v2.ModelMetadataRequest), described.model),
                self._route(
                    f"{path}/ready", "ModelReady", _named(v2.ModelReadyRequest), described.model_ready
                ),
                self._route(f"{path}/config", "ModelConfig", _named(v2.ModelConfigRequest), described.config),
                self._route(
                    f"{path}/stats",
                    "ModelStatistics",
                    statistics,
                    described.statistics,
                ),
            ]
        return found

    def _infer(self, message: v2.ModelInferRequest, call: Call, done: Done) -> None:
        def ended(result: object, error: Exception | None) -> None:
            done(None if error else (message, cast(InferResult, result)), error)

        self._inference.start(request_of(message), call, ended)

    def _route(self, path: str, name: str, parse: Parse, handle: Handle, method: str = "GET") -> Route:
        def start(message: Any, call: Call, done: Done) -> None:
            # A load of a model takes long: the loop must not wait for it.
            self._exchanges.in_thread(lambda: handle(message, call), done)

        operation = Operation(f"{_SERVICE}/{name}", parse, start, _described, None, error_response)
        return Route(path, self._running(operation), methods=[method])

    def _running(self, operation: Operation) -> Callable[[Request], Any]:
        async def run(request: Request) -> Response:
            return await self._exchanges.run(request, operation)

        return run

    async def _server(self, request: Request) -> Response:
        return JSONResponse(plain(self._descriptions.server()))

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> Response:
        ready = self._readiness.is_open
        return JSONResponse({"ready": ready}, 200 if ready else 503)


def _named(kind: Callable[..., Any]) -> Parse:
    """Return what makes a request of the model and the version in a path."""

    def parse(request: Request, body: bytes) -> Any:
        return kind(name=request.path_params.get("model", ""), version=request.path_params.get("version", ""))

    return parse


def _index(request: Request, body: bytes) -> v2.RepositoryIndexRequest:
    return v2.RepositoryIndexRequest(ready=bool(json_object(body).get("ready", False)))


def _check_sender(request: Request) -> None:
    """Raise PermissionDenied for a request of a web page without a token.

    A browser sends requests for the pages of any site, also to servers that only its own machine reaches.
    """
    if "origin" in request.headers and "authorization" not in request.headers:
        raise PermissionDenied(
            "a web page may not change models without a token", reason="TOKEN_MISSING", field="origin"
        )


def _load(request: Request, body: bytes) -> v2.RepositoryModelLoadRequest:
    _check_sender(request)
    message = v2.RepositoryModelLoadRequest(model_name=request.path_params["model"])
    _add(message.parameters, body)
    return message


def _unload(request: Request, body: bytes) -> v2.RepositoryModelUnloadRequest:
    _check_sender(request)
    message = v2.RepositoryModelUnloadRequest(model_name=request.path_params["model"])
    _add(message.parameters, body)
    return message


def _add(parameters: Any, body: bytes) -> None:
    given = json_object(body).get("parameters")
    for key, value in (given if isinstance(given, dict) else {}).items():
        if isinstance(value, bool):
            parameters[key].bool_param = value
        else:
            parameters[key].string_param = str(value)


def _described(request: Request, response: Message) -> Answer:
    found: Any = plain(response)
    if isinstance(response, v2.ModelConfigResponse):
        found = found.get("config", {})
    elif isinstance(response, v2.RepositoryIndexResponse):
        found = found["models"]
    elif isinstance(response, v2.ModelReadyResponse):
        # The status says it, too: clients look at nothing else.
        name, version = request.path_params["model"], request.path_params.get("version", "")
        found = {"name": name, "version": version, **found}
        return Answer(json.dumps(found).encode(), _JSON, status=200 if response.ready else 400)
    return Answer(json.dumps(found).encode(), _JSON)
