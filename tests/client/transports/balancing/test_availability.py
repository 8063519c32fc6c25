"""Whether a connection can take calls."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from spyglass_client import NotFound, Overloaded, SpyglassError, Unavailable, open_channel
from spyglass_client._transports.balancing.availability import (
    REST_SECONDS,
    Availability,
    State,
)
from spyglass_client._transports.balancing.probes import HealthProbe

Eventually = Callable[[Callable[[], bool]], None]


class Probed:
    """The availability of a connection, with a clock and probes that the test sets."""

    def __init__(self) -> None:
        self.now = 50.0
        self.probes: list[Callable[[bool], None]] = []
        self.availability = Availability(self.probes.append, lambda: self.now)

    def end_probe(self, *, takes_calls: bool) -> None:
        """End the only probe."""
        (ended,) = self.probes
        self.probes.clear()
        ended(takes_calls)

    @property
    def state(self) -> State:
        return self.availability.state


@pytest.fixture
def probed() -> Probed:
    return Probed()


def test_a_connection_is_unknown_until_its_server_has_answered(probed: Probed) -> None:
    assert probed.state is State.UNKNOWN
    probed.end_probe(takes_calls=True)
    assert probed.state is State.AVAILABLE


def test_a_call_that_fails_ends_the_doubt(probed: Probed) -> None:
    probed.availability.note(Unavailable("nobody", reason="UNREACHABLE"))
    assert probed.state is State.UNAVAILABLE


def test_nobody_probes_while_all_is_well(probed: Probed) -> None:
    probed.end_probe(takes_calls=True)
    assert probed.state is State.AVAILABLE
    assert probed.probes == []


@pytest.mark.parametrize("reason", ["CONNECTION_LOST", "UNREACHABLE", "TLS_FAILED", "NOT_SERVING"])
def test_a_lost_connection_is_unavailable_until_its_server_answers(probed: Probed, reason: str) -> None:
    probed.end_probe(takes_calls=True)
    for _ in range(3):
        probed.availability.note(Unavailable("gone", reason=reason))
    assert probed.state is State.UNAVAILABLE
    probed.end_probe(takes_calls=True)
    assert probed.state is State.AVAILABLE


def test_a_server_that_answers_the_probe_with_a_refusal_is_probed_again_after_a_moment(
    probed: Probed,
) -> None:
    for _ in range(3):
        probed.end_probe(takes_calls=False)
        assert (probed.state, probed.probes) == (State.UNAVAILABLE, [])
        probed.now += REST_SECONDS
        assert probed.state is State.UNAVAILABLE
    probed.end_probe(takes_calls=True)
    assert probed.state is State.AVAILABLE


def test_a_server_that_refuses_for_now_rests_for_a_moment(probed: Probed) -> None:
    probed.end_probe(takes_calls=True)
    probed.availability.note(Unavailable("stopping", reason="DRAINING"))
    assert probed.state is State.UNAVAILABLE
    probed.now += REST_SECONDS
    assert probed.state is State.AVAILABLE


@pytest.mark.parametrize("error", [NotFound("no model"), Overloaded("full", retry_after=1)], ids=repr)
def test_other_errors_do_not_matter(probed: Probed, error: SpyglassError) -> None:
    probed.end_probe(takes_calls=True)
    probed.availability.note(error)
    assert probed.state is State.AVAILABLE


def probe(address: str, *, health: bool) -> list[bool]:
    """Probe a server over a new channel; return the list to which the outcome will be added."""
    outcomes: list[bool] = []
    HealthProbe(open_channel(address), health=health)(outcomes.append)
    return outcomes


@pytest.mark.parametrize(("serving", "health"), [(True, True), (False, True), (False, False)])
def test_a_probe_asks_for_the_health_of_a_server(
    make_server: Callable[..., Any], eventually: Eventually, serving: bool, health: bool
) -> None:
    server = make_server()
    server.report(serving=serving)
    outcomes = probe(server.address, health=health)
    eventually(lambda: outcomes == [serving or not health])


def test_a_server_without_a_health_service_takes_calls(eventually: Eventually) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    outcomes = probe(f"127.0.0.1:{port}", health=True)
    eventually(lambda: outcomes == [True])
    server.stop(None).wait()


def test_a_probe_waits_for_a_server_that_starts(
    make_server: Callable[..., Any], eventually: Eventually
) -> None:
    server = make_server(running=False)
    outcomes = probe(server.address, health=True)
    assert outcomes == []
    server.start()
    eventually(lambda: outcomes == [True])
