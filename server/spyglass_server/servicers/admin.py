"""The `spyglass.v1.Admin` service over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc

from spyglass.v1 import admin_pb2
from spyglass.v1.admin_pb2 import (
    ListVersionsRequest,
    ListVersionsResponse,
    LoadModelRequest,
    LoadModelResponse,
    ReloadRequest,
    ReloadResponse,
    RemoveLabelRequest,
    RemoveLabelResponse,
    RollbackRequest,
    RollbackResponse,
    SetLabelRequest,
    SetLabelResponse,
    SetTrafficRequest,
    SetTrafficResponse,
    UnloadModelRequest,
    UnloadModelResponse,
)
from spyglass.v1.admin_pb2_grpc import AdminServicer
from spyglass_server.administration import Administration
from spyglass_server.engine.call import Call
from spyglass_server.servicers.context import call_of
from spyglass_server.servicers.readiness import Readiness

ADMIN: str = admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name

Request = TypeVar("Request")
Response = TypeVar("Response")


class Admin(AdminServicer):
    """A shell around the handlers: it checks the readiness and passes deadline and cancellation on."""

    def __init__(self, administration: Administration, readiness: Readiness) -> None:
        self._administration = administration
        self._readiness = readiness

    def LoadModel(self, request: LoadModelRequest, context: grpc.ServicerContext) -> LoadModelResponse:
        return self._handle(self._administration.load_model, request, context)

    def UnloadModel(self, request: UnloadModelRequest, context: grpc.ServicerContext) -> UnloadModelResponse:
        return self._handle(self._administration.unload_model, request, context)

    def SetLabel(self, request: SetLabelRequest, context: grpc.ServicerContext) -> SetLabelResponse:
        return self._handle(self._administration.set_label, request, context)

    def RemoveLabel(self, request: RemoveLabelRequest, context: grpc.ServicerContext) -> RemoveLabelResponse:
        return self._handle(self._administration.remove_label, request, context)

    def SetTraffic(self, request: SetTrafficRequest, context: grpc.ServicerContext) -> SetTrafficResponse:
        return self._handle(self._administration.set_traffic, request, context)

    def Rollback(self, request: RollbackRequest, context: grpc.ServicerContext) -> RollbackResponse:
        return self._handle(self._administration.rollback, request, context)

    def Reload(self, request: ReloadRequest, context: grpc.ServicerContext) -> ReloadResponse:
        return self._handle(self._administration.reload, request, context)

    def ListVersions(
        self, request: ListVersionsRequest, context: grpc.ServicerContext
    ) -> ListVersionsResponse:
        return self._handle(self._administration.list_versions, request, context)

    def _handle(
        self,
        handle: Callable[[Request, Call], Response],
        request: Request,
        context: grpc.ServicerContext,
    ) -> Response:
        self._readiness.check()
        return handle(request, call_of(context))
