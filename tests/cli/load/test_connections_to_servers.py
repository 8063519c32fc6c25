"""The clients of a load test, by the address of the server."""

from __future__ import annotations

import pytest

from spyglass_cli.flags.connection import ConnectionFlags
from spyglass_cli.load.connections import ToServer
from spyglass_cli.load.traffic import Traffic
from spyglass_client import Client


@pytest.mark.parametrize("address", ["localhost:1", "http://10.0.0.7:1", "unix:/run/spyglass.sock"])
def test_the_bytes_to_one_server_are_counted(address: str) -> None:
    options = ToServer(address, 1.0, ConnectionFlags())._options(Traffic(0.0, 1.0))
    assert "open_channel" in options


@pytest.mark.parametrize("address", ["localhost:1,localhost:2", "dns:///vision.example"])
def test_calls_to_several_servers_are_spread_by_the_client(address: str) -> None:
    connection = ToServer(address, 1.0, ConnectionFlags())
    assert connection._options(Traffic(0.0, 1.0))["target"] == address
    with connection.client(Traffic(0.0, 1.0)) as client:
        assert isinstance(client, Client)
