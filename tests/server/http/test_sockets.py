"""The addresses that the HTTP port takes."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, closing

import pytest

from spyglass_server.http.sockets import bound_sockets, bound_to
from spyglass_server.listening import ListenError

LOOPBACK = (socket.AF_INET, ("127.0.0.1", 0))
# For documentation: no machine has it.
ELSEWHERE = (socket.AF_INET, ("192.0.2.1", 0))


@pytest.mark.parametrize("addresses", [[ELSEWHERE, LOOPBACK], [LOOPBACK, ELSEWHERE]])
def test_an_address_that_the_machine_lacks_is_left_out(addresses: list[tuple[int, tuple[str, int]]]) -> None:
    (bound,) = bound_to(addresses, 0, shared=False)
    with closing(bound):
        assert bound.getsockname()[0] == "127.0.0.1"


def test_a_host_of_which_no_address_is_here_is_refused() -> None:
    with pytest.raises(ListenError, match=r"HTTP cannot listen on 192\.0\.2\.1:0"):
        bound_sockets("192.0.2.1", 0, shared=False)


def test_all_addresses_of_a_name_have_one_port() -> None:
    with ExitStack() as stack:
        bound = [stack.enter_context(closing(one)) for one in bound_sockets("localhost", 0, shared=False)]
        assert len({one.getsockname()[1] for one in bound}) == 1


def test_connections_send_small_packets_at_once() -> None:
    async def delays() -> int:
        handled = asyncio.Event()
        found = []

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()
            handled.set()

        (bound,) = bound_sockets("127.0.0.1", 0, shared=False)
        server = await asyncio.start_server(connected, sock=bound)
        async with server:
            _, writer = await asyncio.open_connection(*bound.getsockname())
            await handled.wait()
            writer.close()
            await writer.wait_closed()
        return int(found[0])

    assert asyncio.run(delays()) == 1
