"""Errors to gRPC statuses: the code, the details, and the text that a caller never receives."""

from __future__ import annotations

import inspect
import logging
from typing import TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from spyglass_contract import errors
from spyglass_contract.status_codes import status_code
from spyglass_contract.statuses import status_from_error
from spyglass_server.faults import public_error
from spyglass_server.interceptors.statuses import abort_status

Kind = TypeVar("Kind", bound=Message)

TREE = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SpyglassError)
]


def detail(status: Status, kind: type[Kind]) -> Kind:
    found = kind()
    (packed,) = [entry for entry in status.details if entry.Is(kind.DESCRIPTOR)]
    packed.Unpack(found)
    return found


@pytest.mark.parametrize("kind", TREE)
def test_every_error_of_the_tree_becomes_a_status(kind: type[errors.SpyglassError]) -> None:
    status = status_from_error(kind("what happened"), "id-1")

    assert status.code == grpc.StatusCode[status_code(kind(""))].value[0] != grpc.StatusCode.OK.value[0]
    assert detail(status, ErrorInfo).domain == "errors.spyglass.v1"
    assert detail(status, RequestInfo).request_id == "id-1"


def test_an_error_that_a_caller_can_act_on_has_all_its_details() -> None:
    error = errors.ImageError("the JPEG is cut off", reason="IMAGE_TRUNCATED", field="image")

    status = status_from_error(error, "id-1")

    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert status.message == "the JPEG is cut off"
    assert detail(status, ErrorInfo).reason == "IMAGE_TRUNCATED"
    (violation,) = detail(status, BadRequest).field_violations
    assert (violation.field, violation.description) == ("image", "the JPEG is cut off")


def test_an_error_without_a_field_has_no_bad_request() -> None:
    status = status_from_error(errors.Unavailable("starting"), "id-1")

    assert not any(entry.Is(BadRequest.DESCRIPTOR) for entry in status.details)


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.25, 250), (2, 2000), (0.0001, 1)])
def test_overload_has_a_time_to_retry_after(seconds: float, milliseconds: int) -> None:
    status = status_from_error(errors.Overloaded("full", retry_after=seconds), "id-1")

    assert detail(status, RetryInfo).retry_delay.ToMilliseconds() == milliseconds


def test_overload_that_will_not_pass_has_no_retry_info() -> None:
    status = status_from_error(errors.Overloaded("full"), "id-1")

    assert not any(entry.Is(RetryInfo.DESCRIPTOR) for entry in status.details)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("/srv/secret.py: key 7"),
        errors.ModelError("/srv/secret.py"),
        errors.InternalError("secret"),
    ],
)
def test_a_fault_of_the_server_is_logged_and_hidden_from_the_caller(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status = status_from_error(public_error(error, "id-1"), "id-1")

    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert status.message == "the server failed; quote the request id id-1"
    assert b"secret" not in status.SerializeToString()
    assert "secret" in caplog.text


def test_a_fault_keeps_its_reason() -> None:
    error = errors.InternalError("NaN", reason="OUTPUT_NOT_FINITE")

    assert public_error(error, "id-1").reason == "OUTPUT_NOT_FINITE"
    assert public_error(KeyError(), "id-1").reason == "INTERNAL"


def test_a_message_with_a_long_quote_of_the_request_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    status = status_from_error(errors.NotFound(f"no model {'é' * 100_000}", field="model.name"), "id-1")

    assert status.message.startswith("no model éé")
    assert status.message.endswith("…")
    assert len(status.SerializeToString()) < 2000


def test_the_status_is_in_the_call_and_in_its_trailing_metadata() -> None:
    error = errors.NotFound("the server has no model 'x'")

    abort = abort_status(error, "id-1")

    assert (abort.code, abort.details) == (grpc.StatusCode.NOT_FOUND, "the server has no model 'x'")
    metadata = dict(abort.trailing_metadata)
    assert metadata["x-request-id"] == "id-1"
    assert Status.FromString(bytes(metadata["grpc-status-details-bin"])) == status_from_error(error, "id-1")
