"""Starting, serving, draining."""

from __future__ import annotations

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from spyglass_contract.errors import Unavailable
from spyglass_server.servicers.readiness import VISION, Readiness

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def health_of(readiness: Readiness, service: str) -> int:
    return int(readiness.health.Check(HealthCheckRequest(service=service), None).status)


def test_a_server_that_is_starting_refuses_requests() -> None:
    readiness = Readiness()

    with pytest.raises(Unavailable, match="starting"):
        readiness.check()
    assert health_of(readiness, "") == health_of(readiness, VISION) == NOT_SERVING


def test_a_model_is_announced_before_the_server_serves() -> None:
    readiness = Readiness()

    readiness.announce("colors")

    assert health_of(readiness, "colors") == SERVING
    assert health_of(readiness, "") == NOT_SERVING


def test_an_open_server_accepts_requests() -> None:
    readiness = Readiness()

    readiness.open()

    readiness.check()
    assert health_of(readiness, "") == health_of(readiness, VISION) == SERVING


def test_a_draining_server_refuses_requests_until_it_ends() -> None:
    readiness = Readiness()
    readiness.announce("colors")
    readiness.open()

    readiness.drain()
    readiness.announce("colors")

    with pytest.raises(Unavailable, match="draining"):
        readiness.check()
    assert [health_of(readiness, name) for name in ("", VISION, "colors")] == [NOT_SERVING] * 3


def test_a_server_without_progress_is_not_serving_until_it_recovers() -> None:
    readiness = Readiness()
    readiness.announce("colors")
    readiness.open()

    readiness.stall(True)
    assert [health_of(readiness, name) for name in ("", VISION, "colors")] == [
        NOT_SERVING,
        NOT_SERVING,
        SERVING,
    ]
    readiness.check()

    readiness.stall(False)
    assert health_of(readiness, "") == SERVING


def test_the_end_of_a_stall_does_not_open_a_draining_server() -> None:
    readiness = Readiness()
    readiness.open()
    readiness.stall(True)
    readiness.drain()

    readiness.stall(False)

    assert health_of(readiness, "") == NOT_SERVING
