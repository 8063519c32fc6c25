"""Clients of several servers: turns, servers that stop and come back, streams, health."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import spyglass_client as sc

Connect = Callable[..., Any]
MakeServer = Callable[..., Any]
Eventually = Callable[[Callable[[], bool]], None]

NOBODY = "127.0.0.1:1"
# A client that pauses before a retry would take longer than a test waits.
SLOW_RETRY = sc.Retry(initial_backoff=60, max_backoff=60, jitter=0)


@pytest.fixture
def pair(make_server: MakeServer) -> list[Any]:
    return [make_server(), make_server()]


def target(servers: list[Any]) -> str:
    return ",".join(server.address for server in servers)


def connected(client: Any, servers: list[Any], eventually: Eventually) -> Any:
    """Return the client after calls to all the servers, which then have counted no call."""

    def all_called() -> bool:
        client.classify(b"image")
        return all(server.calls for server in servers)

    eventually(all_called)
    for server in servers:
        server.calls = 0
    return client


@pytest.mark.parametrize("as_list", [False, True], ids=["text", "list"])
def test_all_servers_get_calls_in_turn(
    pair: list[Any], connect: Connect, eventually: Eventually, as_list: bool
) -> None:
    addresses = [server.address for server in pair]
    client = connected(connect(addresses if as_list else ", ".join(addresses)), pair, eventually)
    for _ in range(20):
        assert client.classify(b"image").best.name == "cat"
    assert [server.calls for server in pair] == [10, 10]


@pytest.mark.slow
def test_with_failover_the_first_available_server_gets_all_calls(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connect(target(pair), balance=sc.Balance("failover"), retry=SLOW_RETRY)
    for _ in range(3):
        client.classify(b"image")
    assert [server.calls for server in pair] == [3, 0]
    pair[0].stop()
    for _ in range(3):
        client.classify(b"image")
    assert pair[1].calls == 3

    def is_back() -> bool:
        client.classify(b"image")
        return bool(pair[0].calls > 3)

    pair[0].start()
    eventually(is_back)


@pytest.mark.slow
def test_calls_go_on_without_a_pause_if_one_of_the_servers_stops_and_it_comes_back(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connected(connect(target(pair), retry=SLOW_RETRY), pair, eventually)
    pair[0].stop()
    for _ in range(20):
        assert client.classify(b"image", timeout=10).best.name == "cat"
    assert pair[1].calls == 20
    pair[0].start()
    connected(client, pair, eventually)
    for _ in range(10):
        client.classify(b"image")
    assert [server.calls for server in pair] == [5, 5]


def test_a_call_in_progress_on_a_server_that_is_killed_moves_to_another_one_at_once(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connected(connect(target(pair), retry=SLOW_RETRY), pair, eventually)
    for server in pair:
        server.released.clear()
        server.entered.clear()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(client.classify, b"image", timeout=20)
        eventually(lambda: any(server.entered.is_set() for server in pair))
        busy = next(server for server in pair if server.entered.is_set())
        busy.stop()
        for server in pair:
            server.released.set()
        assert pending.result().best.name == "cat"
    assert [server.calls for server in pair] == [1, 1]


def test_a_server_that_cannot_be_reached_gets_no_call_of_a_new_client(
    make_server: MakeServer, connect: Connect
) -> None:
    server = make_server()
    for _ in range(4):
        client = connect(f"{NOBODY},{server.address}", retry=SLOW_RETRY)
        assert client.classify(b"image", timeout=10).best.name == "cat"


@pytest.mark.slow
def test_a_server_that_accepts_connections_and_stays_silent_delays_at_most_the_first_calls(
    make_server: MakeServer, connect: Connect
) -> None:
    server = make_server()
    for _ in range(4):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            timeout = sc.Timeout(call=20, connect=2)
            client = connect([address, server.address], timeout=timeout, retry=SLOW_RETRY)
            assert client.classify(b"image").best.name == "cat"
            # The first call may have gone to the silent server first, but no other one does.
            for _ in range(10):
                assert client.classify(b"image", timeout=1.5).best.name == "cat"


def test_a_server_that_refuses_tls_does_not_keep_calls_from_the_others(
    make_server: MakeServer, connect: Connect
) -> None:
    plain, working = make_server(), make_server()
    for _ in range(4):
        client = connect(f"https://{plain.address},{working.address}", retry=SLOW_RETRY)
        assert client.classify(b"image", timeout=10).best.name == "cat"


def test_a_server_that_is_stopping_gets_no_call_while_it_refuses(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connected(connect(target(pair), retry=SLOW_RETRY), pair, eventually)
    pair[0].error = sc.Unavailable("stopping", reason="DRAINING")
    for _ in range(20):
        assert client.classify(b"image", timeout=10).best.name == "cat"
    assert pair[0].calls < 5


def test_a_server_whose_health_is_bad_gets_no_call(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connected(connect(target(pair), retry=SLOW_RETRY), pair, eventually)
    pair[0].report(serving=False)

    def is_left_out() -> bool:
        before = pair[0].calls
        for _ in range(6):
            client.classify(b"image", timeout=10)
        return bool(pair[0].calls == before)

    eventually(is_left_out)
    pair[0].report(serving=True)
    connected(client, pair, eventually)


def test_without_health_checks_only_refusals_count(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    pair[0].report(serving=False)
    connected(connect(target(pair), balance=sc.Balance(health=False)), pair, eventually)


def test_if_no_server_is_healthy_the_error_says_so(pair: list[Any], connect: Connect) -> None:
    for server in pair:
        server.report(serving=False)
    with pytest.raises(sc.Unavailable, match="NOT_SERVING") as caught:
        connect(target(pair)).classify(b"image")
    assert caught.value.reason == "NOT_SERVING"


def test_if_no_server_is_reached_the_error_says_so(connect: Connect) -> None:
    with pytest.raises(sc.Unavailable) as caught:
        connect(f"{NOBODY},127.0.0.1:2").classify(b"image")
    assert caught.value.reason == "UNREACHABLE"


def test_an_error_of_the_request_is_not_sent_to_another_server(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connected(connect(target(pair)), pair, eventually)
    for server in pair:
        server.error = sc.NotFound("no such model")
    for _ in range(4):
        with pytest.raises(sc.NotFound):
            client.classify(b"image")
    assert [server.calls for server in pair] == [2, 2]


def test_streams_go_to_the_servers_in_turn(pair: list[Any], connect: Connect, eventually: Eventually) -> None:
    client = connected(connect(target(pair)), pair, eventually)
    for _ in range(4):
        assert [result.best.name for result in client.classify_many([b"image"] * 5)] == ["cat"] * 5
    assert [server.calls for server in pair] == [10, 10]


def test_a_stream_whose_server_is_killed_goes_on_with_another_one_at_once(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connected(connect(target(pair), retry=SLOW_RETRY), pair, eventually)

    def images() -> Iterator[bytes]:
        for number in range(40):
            if number == 20:
                next(server for server in pair if server.calls).stop()
            yield b"image"

    results = list(client.classify_many(images(), window=4, timeout=10))
    assert [result.id for result in results] == [str(number) for number in range(40)]
    assert all(result.best.name == "cat" for result in results)
    assert all(server.calls for server in pair)


def test_several_connections_to_one_address_carry_more_calls_at_a_time(
    make_server: MakeServer, eventually: Eventually
) -> None:
    server = make_server(calls_per_connection=1)
    balance = sc.Balance(connections=3, health=False)
    with sc.Client(server.address, balance=balance) as client, ThreadPoolExecutor(4) as pool:

        def all_connected() -> bool:
            client.classify(b"image")
            return len(server.vision.peers) == 3

        eventually(all_connected)
        server.released.clear()
        server.calls = 0
        pending = [pool.submit(client.classify, b"image") for _ in range(4)]
        eventually(lambda: server.calls == 3)
        server.released.set()
        assert [result.result().best.name for result in pending] == ["cat"] * 4


def test_a_client_of_several_servers_closes_while_one_cannot_be_reached(
    make_server: MakeServer, connect: Connect
) -> None:
    """Threads that wait for the connection must end without an error."""
    for _ in range(3):
        with sc.Client(f"{NOBODY},{make_server().address}") as client:
            client.classify(b"image")


def test_a_late_response_is_hedged_on_another_server(
    pair: list[Any], connect: Connect, eventually: Eventually
) -> None:
    client = connected(connect(target(pair), hedging=sc.Hedging(0.05)), pair, eventually)
    # One server does not respond to the first attempts of half of the calls; the other one responds to all.
    pair[0].released.clear()
    for _ in range(6):
        assert client.classify(b"image", timeout=20).best.name == "cat"
    assert pair[0].calls >= 3
    assert pair[1].calls == 6


def test_a_stream_is_not_hedged(pair: list[Any], connect: Connect, eventually: Eventually) -> None:
    client = connected(connect(target(pair), hedging=sc.Hedging(0.001)), pair, eventually)
    for server in pair:
        server.delay = 0.01
    assert len(list(client.classify_many([b"image"] * 5))) == 5
    assert sorted(server.calls for server in pair) == [0, 5]
