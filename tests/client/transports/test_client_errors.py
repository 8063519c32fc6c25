"""Errors of the server, raised by the client with the same class and details."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from spyglass_client._transports.rpc_errors import error_from_rpc
from spyglass_contract import errors
from spyglass_contract.status_codes import STATUS_CODES
from spyglass_contract.statuses import error_from_status
from statuses import to_status


class FailedRpc:
    def __init__(
        self, code: grpc.StatusCode, details: str | None, metadata: tuple[tuple[str, str | bytes], ...] = ()
    ) -> None:
        self._code, self._details, self._metadata = code, details, metadata

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._metadata


@pytest.mark.parametrize(
    "kind", sorted(set(STATUS_CODES) - {errors.InternalError}, key=lambda kind: kind.__name__)
)
def test_every_error_has_the_class_and_details_that_the_server_sent(kind: type[errors.SpyglassError]) -> None:
    sent = kind("said so", reason="A_REASON", field="model.name")
    received = error_from_status(to_status(sent, "id-1"))
    assert type(received) is kind
    assert (received.message, received.reason, received.field) == ("said so", "A_REASON", "model.name")
    assert received.request_id == "id-1"


def test_an_image_error_is_raised_as_an_image_error() -> None:
    received = error_from_status(to_status(errors.ImageError("cut off", reason="IMAGE_TRUNCATED"), "id-1"))
    assert type(received) is errors.ImageError


def test_a_fault_of_the_server_has_only_its_request_id() -> None:
    received = error_from_status(to_status(KeyError("secret"), "id-1"))
    assert type(received) is errors.InternalError
    assert "secret" not in received.message
    assert received.request_id == "id-1"


@pytest.mark.parametrize("seconds", [0.25, 3.0, None])
def test_an_overload_error_has_the_time_to_retry_after(seconds: float | None) -> None:
    received = error_from_status(to_status(errors.Overloaded("full", retry_after=seconds), "id-1"))
    assert isinstance(received, errors.Overloaded)
    assert received.retry_after == seconds


def test_a_reason_of_another_domain_is_ignored() -> None:
    detail = Any()
    detail.Pack(ErrorInfo(reason="IMAGE_TRUNCATED", domain="proxy.example"))
    received = error_from_status(Status(code=3, message="no", details=[detail]))
    assert type(received) is errors.InvalidInput
    assert received.reason == "INVALID_INPUT"


@pytest.mark.parametrize("code", [2, 6, 10, 15, 99])
def test_other_status_codes_are_faults_of_the_server(code: int) -> None:
    assert type(error_from_status(Status(code=code, message="what?"))) is errors.InternalError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, errors.Cancelled),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unimplemented),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.LimitExceeded),
        (grpc.StatusCode.UNKNOWN, errors.InternalError),
    ],
)
@pytest.mark.parametrize("details", ["because", "", None])
def test_a_status_of_grpc_itself_becomes_an_error_of_the_same_tree(
    code: grpc.StatusCode, kind: type[errors.SpyglassError], details: str | None
) -> None:
    assert type(error_from_rpc(FailedRpc(code, details))) is kind


def test_the_request_id_is_also_read_from_the_metadata() -> None:
    call = FailedRpc(grpc.StatusCode.INTERNAL, "oops", (("x-request-id", "id-2"),))
    assert error_from_rpc(call).request_id == "id-2"


def test_details_that_contradict_the_code_are_ignored() -> None:
    forged = Status(code=5, message="not found").SerializeToString()
    call = FailedRpc(grpc.StatusCode.UNAVAILABLE, "gone", (("grpc-status-details-bin", forged),))
    assert type(error_from_rpc(call)) is errors.Unavailable
