"""How a client spreads its calls, keeps its connections alive, and hedges: the value objects."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from spyglass_client import AsyncClient, Balance, Client, Hedging, KeepAlive, Transport
from spyglass_client._transports.addresses import parse_addresses
from spyglass_client._transports.channels import ConnectionOptions, channel_options


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": "random"},
        {"policy": None},
        {"connections": 0},
        {"connections": 17},
        {"connections": 10**30},
        {"connections": 1.5},
        {"connections": True},
        {"health": 1},
    ],
    ids=str,
)
def test_an_invalid_balance_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Balance needs policy 'round_robin' or 'failover'"):
        Balance(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": 9.9},
        {"interval": math.nan},
        {"interval": "30"},
        {"timeout": 0},
        {"timeout": math.inf},
        {"timeout": True},
        {"idle": 1},
    ],
    ids=str,
)
def test_pings_that_servers_do_not_allow_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="KeepAlive needs interval >= 10 seconds"):
        KeepAlive(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"delay": 0},
        {"delay": -1},
        {"delay": math.inf},
        {"delay": math.nan},
        {"delay": "1"},
        {"delay": 1, "at_most": 1},
        {"delay": 1, "at_most": 6},
        {"delay": 1, "at_most": 2.0},
    ],
    ids=str,
)
def test_invalid_hedging_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Hedging needs a finite delay > 0"):
        Hedging(**wrong)


def options(address: str, **chosen: Any) -> dict[str, int | str]:
    return dict(channel_options(parse_addresses(address)[0], ConnectionOptions(**chosen)))


def service_config(address: str, **chosen: Any) -> Any:
    return json.loads(str(options(address, **chosen).get("grpc.service_config", "null")))


def test_pings_reach_grpc_in_milliseconds() -> None:
    made = options("vision", keep_alive=KeepAlive(12, 3.5, idle=True))
    assert made["grpc.keepalive_time_ms"] == 12_000
    assert made["grpc.keepalive_timeout_ms"] == made["grpc.http2.ping_timeout_ms"] == 3_500
    assert made["grpc.keepalive_permit_without_calls"] == 1


@pytest.mark.parametrize("never", [math.inf, 1e300, 10**400], ids=["inf", "1e300", "10**400"])
def test_an_endless_interval_turns_pings_off(never: float) -> None:
    # gRPC takes the largest 32-bit integer for infinity.
    assert options("vision", keep_alive=KeepAlive(never))["grpc.keepalive_time_ms"] == 2**31 - 1


def test_calls_go_to_all_addresses_of_a_name_only_if_they_are_asked_to() -> None:
    assert service_config("vision") is None
    assert service_config("vision", round_robin=True) == {"loadBalancingConfig": [{"round_robin": {}}]}
    checked = service_config("vision", round_robin=True, health=True)
    assert checked["healthCheckConfig"] == {"serviceName": ""}


@pytest.mark.parametrize("address", ["localhost:7", "xds:///vision"])
def test_a_name_of_this_machine_and_a_name_of_xds_keep_the_rules_of_grpc(address: str) -> None:
    assert service_config(address, round_robin=True, health=True) is None


class Blocking:
    """A transport that cannot start a request without waiting for its response."""

    def send(self, method: str, request: Any, timeout: float | None) -> Any: ...

    def stream(self, method: str, requests: Any) -> Any: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("make", [Client, AsyncClient])
@pytest.mark.parametrize(
    "option", [{"balance": Balance(connections=2)}, {"keep_alive": KeepAlive(60)}], ids=str
)
def test_options_of_connections_are_rejected_without_a_connection(
    make: Callable[..., Any], option: dict[str, Any]
) -> None:
    transport: Transport = Blocking()
    with pytest.raises(ValueError, match="transport"):
        make(transport=transport, **option)
    with pytest.raises(ValueError, match="open_channel"):
        make(open_channel=lambda: None, **option)


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_hedging_is_rejected_over_a_transport_that_only_blocks(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="hedging needs a transport with the method `start`"):
        make(transport=Blocking(), hedging=Hedging(0.1))
