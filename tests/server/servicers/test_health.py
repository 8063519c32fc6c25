"""The health service without a socket: statuses and watchers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest

from spyglass_contract.errors import NotFound
from spyglass_server.servicers.health import NOT_SERVING, SERVING, Health

Eventually = Callable[[Callable[[], bool]], None]
UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN
ENDED = -1


class Watch:
    """A call that records the statuses it receives, and may disconnect."""

    def __init__(self, health: Health, service: str) -> None:
        self.received: list[int] = []
        self._callbacks: list[Callable[[], object]] = []
        # On the thread on which gRPC runs watches; it also sends all statuses.
        pool = health.Watch.experimental_thread_pool
        pool.submit(health.Watch, HealthCheckRequest(service=service), self, self._receive).result(30)

    def add_callback(self, callback: Callable[[], object]) -> bool:
        self._callbacks.append(callback)
        return True

    def disconnect(self) -> None:
        for callback in self._callbacks:
            callback()

    def _receive(self, reply: HealthCheckResponse | None) -> None:
        self.received.append(ENDED if reply is None else reply.status)


@pytest.fixture
def health() -> Health:
    made = Health()
    made.set("colors", SERVING)
    return made


def status_of(health: Health, service: str) -> int:
    return int(health.Check(HealthCheckRequest(service=service), None).status)


def test_the_status_of_a_service_is_the_last_one_that_was_set(health: Health) -> None:
    health.set("colors", NOT_SERVING)

    assert status_of(health, "colors") == NOT_SERVING


def test_an_unknown_service_is_not_found(health: Health) -> None:
    with pytest.raises(NotFound, match="'other'"):
        status_of(health, "other")


def test_all_services_are_listed(health: Health) -> None:
    health.set("", NOT_SERVING)

    statuses = health.List(HealthListRequest(), None).statuses

    assert {service: reply.status for service, reply in statuses.items()} == {
        "colors": SERVING,
        "": NOT_SERVING,
    }


def test_a_watcher_receives_the_status_and_then_each_change(health: Health, eventually: Eventually) -> None:
    watch, other = Watch(health, "colors"), Watch(health, "")

    for status in (SERVING, NOT_SERVING, NOT_SERVING, SERVING):
        health.set("colors", status)
        eventually(lambda expected=status: watch.received[-1] == expected)

    assert watch.received == [SERVING, NOT_SERVING, SERVING]
    assert other.received == [UNKNOWN]


def test_a_watcher_may_come_before_its_service(health: Health, eventually: Eventually) -> None:
    watch = Watch(health, "late")

    health.set("late", SERVING)

    eventually(lambda: watch.received == [UNKNOWN, SERVING])


def test_a_watcher_that_disconnected_receives_nothing_more(health: Health, eventually: Eventually) -> None:
    closed, open_ = Watch(health, "colors"), Watch(health, "colors")

    closed.disconnect()
    health.set("colors", NOT_SERVING)

    eventually(lambda: open_.received == [SERVING, NOT_SERVING])
    assert closed.received == [SERVING]


def test_the_end_is_sent_to_all_watchers_and_ends_their_calls(health: Health) -> None:
    watch = Watch(health, "colors")

    health.end()
    health.set("colors", SERVING)

    assert watch.received == [SERVING, NOT_SERVING, ENDED]
    assert status_of(health, "colors") == NOT_SERVING


def test_a_watcher_that_comes_after_the_end_receives_it_and_is_closed(health: Health) -> None:
    health.end()

    assert Watch(health, "colors").received == [NOT_SERVING, ENDED]


def test_no_watcher_is_closed_twice(health: Health) -> None:
    watch = Watch(health, "colors")

    health.end()
    health.end()

    assert watch.received == [SERVING, NOT_SERVING, ENDED]
