"""All servers whose IP addresses a name has: a DNS server of the test says which."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import spyglass_client as sc

pytestmark = pytest.mark.slow

Connect = Callable[..., Any]
MakeServer = Callable[..., Any]
Eventually = Callable[[Callable[[], bool]], None]

NAME = "vision.example"
_A_RECORD = 1
_HEADER = struct.Struct(">HHHHHH")


class NameServer:
    """A DNS server on a UDP port; the name has the IPv4 addresses in `addresses`."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(self._respond(query), sender)

    def _respond(self, query: bytes) -> bytes:
        """See RFC 1035, section 4."""
        end = query.index(b"\0", _HEADER.size) + 5
        question = query[_HEADER.size : end]
        wants_ipv4 = struct.unpack(">H", question[-4:-2])[0] == _A_RECORD
        addresses = self.addresses if wants_ipv4 else []
        header = _HEADER.pack(int.from_bytes(query[:2], "big"), 0x8180, 1, len(addresses), 0, 0)
        # A pointer to the name in the question, type A, class IN, valid for a second, four bytes.
        records = [
            struct.pack(">HHHIH", 0xC00C, _A_RECORD, 1, 1, 4) + socket.inet_aton(address)
            for address in addresses
        ]
        return header + question + b"".join(records)


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


@pytest.fixture
def servers(make_server: MakeServer) -> list[Any]:
    """Three servers on one port of three addresses of this machine; the last one does not run yet."""
    first = make_server("127.0.0.1")
    port = int(first.address.rpartition(":")[2])
    return [first, make_server("127.0.0.2", port), make_server("127.0.0.3", port, running=False)]


def test_all_addresses_of_a_name_get_calls_and_the_name_is_looked_up_again_when_one_fails(
    name_server: NameServer, servers: list[Any], connect: Connect, eventually: Eventually
) -> None:
    port = servers[0].address.rpartition(":")[2]
    name_server.addresses = ["127.0.0.1", "127.0.0.2"]
    client = connect(f"dns://127.0.0.1:{name_server.port}/{NAME}:{port}", retry=sc.Retry())

    def called(*numbers: int) -> Callable[[], bool]:
        before = [server.calls for server in servers]

        def all_called() -> bool:
            client.classify(b"image")
            return all(servers[number].calls > before[number] + 5 for number in numbers)

        return all_called

    eventually(called(0, 1))
    name_server.addresses = ["127.0.0.2", "127.0.0.3"]
    servers[2].start()
    servers[0].stop()
    eventually(called(1, 2))


def test_with_failover_one_address_of_a_name_gets_all_calls(
    name_server: NameServer, servers: list[Any], connect: Connect
) -> None:
    port = servers[0].address.rpartition(":")[2]
    name_server.addresses = ["127.0.0.1", "127.0.0.2"]
    address = f"dns://127.0.0.1:{name_server.port}/{NAME}:{port}"
    client = connect(address, balance=sc.Balance("failover"))
    for _ in range(10):
        client.classify(b"image")
    assert sorted(server.calls for server in servers) == [0, 0, 10]
