"""Clients and faults: servers that restart, forks, silence, and certificates."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

import spyglass_client as sc
from spyglass.v1.vision_pb2_grpc import add_VisionServicer_to_server

Connect = Callable[..., Any]
Serve = Callable[..., str]
MakeVision = Callable[..., Any]

# Long enough for a restart, short enough for a test.
PATIENT = sc.Retry(attempts=60, initial_backoff=0.05, max_backoff=0.2)


@pytest.fixture
def serve_at(fake_vision: MakeVision) -> Iterator[Callable[[int], grpc.Server]]:
    servers: list[grpc.Server] = []

    def start(port: int) -> grpc.Server:
        server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        add_VisionServicer_to_server(fake_vision(), server)
        server.add_insecure_port(f"localhost:{port}")
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(None).wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_client_reconnects_to_a_restarted_server(
    serve_at: Callable[[int], grpc.Server], connect: Connect
) -> None:
    port = free_port()
    first = serve_at(port)
    client = connect(f"localhost:{port}", retry=PATIENT)
    assert client.classify(b"image").best.name == "cat"
    first.stop(None).wait()
    with pytest.raises((sc.Unavailable, sc.DeadlineExceeded)):
        client.classify(b"image", timeout=0.2)
    serve_at(port)
    assert client.classify(b"image").best.name == "cat"


LATE = 0.3


@pytest.fixture
def start_late(serve_at: Callable[[int], grpc.Server]) -> Iterator[Callable[[int], None]]:
    """Start a server on a port after a moment: `start_late(port)`."""
    timers: list[threading.Timer] = []

    def start(port: int) -> None:
        timers.append(threading.Timer(LATE, serve_at, [port]))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


@pytest.mark.slow
def test_a_call_waits_for_a_server_that_starts_within_its_timeout(
    start_late: Callable[[int], None], connect: Connect
) -> None:
    start_late(port := free_port())
    client = connect(f"localhost:{port}", retry=sc.Retry())
    assert client.classify(b"image").best.name == "cat"


@pytest.mark.slow
def test_a_stream_waits_for_a_server_that_starts_within_its_timeout(
    start_late: Callable[[int], None], connect: Connect
) -> None:
    start_late(port := free_port())
    results = connect(f"localhost:{port}", retry=sc.Retry()).classify_many([b"image"] * 40)
    assert [result.best.name for result in results] == ["cat"] * 40


def test_a_stream_to_a_server_that_does_not_start_ends_with_one_error(connect: Connect) -> None:
    client = connect(f"localhost:{free_port()}", retry=sc.Retry())
    results = client.classify_many([b"image"] * 1000, timeout=0.5)
    with pytest.raises(sc.Unavailable) as caught:
        next(results)
    assert caught.value.reason == "UNREACHABLE"


def test_a_request_that_ends_its_server_is_sent_five_times(connect: Connect) -> None:
    """The server is a socket that reads the request and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        requests = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.sendall(settings)
                        received = b""
                        while b"Classify" not in received and (part := connection.recv(2**16)):
                            received += part
                        requests.append(received)

        threading.Thread(target=serve, daemon=True).start()
        quick = sc.Retry(initial_backoff=0.01, max_backoff=0.02)
        client = connect(f"127.0.0.1:{listening.getsockname()[1]}", retry=quick)
        with pytest.raises(sc.Unavailable) as caught:
            client.classify(b"image", timeout=60)
        assert caught.value.reason == "CONNECTION_LOST"
        assert len(requests) == 5


def test_a_stream_survives_a_restart_of_the_server(
    serve_at: Callable[[int], grpc.Server], connect: Connect
) -> None:
    port = free_port()
    servers = [serve_at(port)]

    def images() -> Iterator[bytes]:
        for number in range(30):
            if number == 12:
                servers.pop().stop(None).wait()
                servers.append(serve_at(port))
            yield b"image"

    predictions = list(connect(f"localhost:{port}", retry=PATIENT).classify_many(images(), window=4))
    assert [prediction.best.name for prediction in predictions] == ["cat"] * 30


def test_a_server_that_accepts_and_stays_silent_is_unavailable_after_the_connect_timeout(
    connect: Connect,
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = connect(
            f"127.0.0.1:{silent.getsockname()[1]}",
            timeout=sc.Timeout(call=60, connect=0.3),
            retry=sc.Retry(attempts=1),
        )
        with pytest.raises(sc.Unavailable):
            client.classify(b"image")


FORK = """
import os, sys
from spyglass_client import Client

client = Client(sys.argv[1])
client.classify(b"image")
child = os.fork()
if child == 0:
    classified = client.classify(b"image", timeout=20).best.name == "cat"
    streamed = [prediction.best.name for prediction in client.classify_many([b"image"] * 3)]
    client.close()
    os._exit(0 if classified and streamed == ["cat"] * 3 else 1)
_, status = os.waitpid(child, 0)
client.classify(b"image", timeout=20)
client.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    "others", ["", pytest.param(",127.0.0.1:1", marks=pytest.mark.slow)], ids=["alone", "several"]
)
def test_a_forked_process_has_a_connection_of_its_own(
    serve: Serve, fake_vision: MakeVision, others: str
) -> None:
    command = [sys.executable, "-c", FORK, serve(fake_vision()) + others]
    finished = subprocess.run(command, capture_output=True, timeout=50, check=False)
    assert finished.returncode == 0, finished.stderr.decode()


def test_many_threads_share_a_client(serve: Serve, fake_vision: MakeVision) -> None:
    with sc.Client(serve(fake_vision())) as client, ThreadPoolExecutor(8) as pool:
        ids = [f"request {number}" for number in range(64)]
        predictions = pool.map(lambda id: client.classify(b"image", id=id), ids)
        assert [prediction.id for prediction in predictions] == ids


def test_many_tasks_of_one_loop_after_another_share_an_asyncio_client(
    serve: Serve, fake_vision: MakeVision
) -> None:
    client = sc.AsyncClient(serve(fake_vision()))
    ids = [f"request {number}" for number in range(64)]

    async def classify_all() -> list[str]:
        predictions = await asyncio.gather(*(client.classify(b"image", id=id) for id in ids))
        return [prediction.id for prediction in predictions]

    assert asyncio.run(classify_all()) == ids
    assert asyncio.run(classify_all()) == ids
    asyncio.run(client.close())


def test_a_cancelled_task_cancels_its_call(serve: Serve, fake_vision: MakeVision) -> None:
    entered, released = threading.Event(), threading.Event()

    def slow(request: object) -> Any:
        entered.set()
        released.wait(30)

    async def main() -> None:
        async with sc.AsyncClient(serve(fake_vision(slow))) as client:
            task = asyncio.create_task(client.classify(b"image"))
            await asyncio.to_thread(entered.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    try:
        asyncio.run(main())
    finally:
        released.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a self-signed certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "ca.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)
    return key, pem


def test_a_client_trusts_a_server_only_with_the_certificate_of_its_signer(
    serve: Serve, connect: Connect, fake_vision: MakeVision, certificate: tuple[Path, Path]
) -> None:
    key, pem = certificate
    identity = grpc.ssl_server_credentials([(key.read_bytes(), pem.read_bytes())])
    target = serve(fake_vision(), identity)
    for address in (target, f"https://{target}"):
        trusting = connect(address, credentials=sc.Credentials.from_files(ca=pem))
        assert trusting.classify(b"image").best.name == "cat"
    for address, credentials in ((target, sc.Credentials(tls=True)), (f"https://{target}", sc.Credentials())):
        # At once: another attempt meets the same certificate, so that the timeout does not matter.
        with pytest.raises(sc.Unavailable) as caught:
            connect(address, credentials=credentials, retry=sc.Retry()).classify(b"image", timeout=600)
        assert caught.value.reason == "TLS_FAILED"


def test_importing_the_library_does_not_import_grpc() -> None:
    check = "import sys, spyglass_client; sys.exit('grpc' in sys.modules)"
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, "-c", check], check=True, env=environment)


def test_every_public_name_exists() -> None:
    assert [name for name in sc.__all__ if not hasattr(sc, name)] == []
