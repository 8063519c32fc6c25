"""`spyglass health`, against real servers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from authorities import Authority
from spyglass_cli.main import main
from spyglass_server.server import Server
from spyglass_server.settings import load_settings

Health = Callable[..., tuple[int, str, str]]


@pytest.fixture
def health(capsys: pytest.CaptureFixture[str]) -> Health:
    """Run `spyglass health`; return its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["health", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """HOST:PORT of a health server with a self-signed certificate, and the certificate's PEM file."""
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "ca.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)
    servicer, server = HealthServicer(), grpc.server(ThreadPoolExecutor(2))
    servicer.set("", HealthCheckResponse.SERVING)
    add_HealthServicer_to_server(servicer, server)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), pem.read_bytes())])
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    yield f"localhost:{port}", pem
    server.stop(0).wait()


def test_a_ready_server_is_serving(health: Health, server: str) -> None:
    assert health("--server", server) == (0, "SERVING\n", "")


def test_each_model_has_its_own_health(health: Health, server: str) -> None:
    assert health("--server", server, "--service", "colors") == (0, "SERVING\n", "")
    assert health("--server", server, "--service", "shapes") == (1, "", "NOT_FOUND\n")


def test_the_environment_names_the_server(
    health: Health, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_SERVER", server)
    assert health() == (0, "SERVING\n", "")


def test_an_unreachable_server_is_unavailable(health: Health) -> None:
    code, output, errors = health("--server", "127.0.0.1:1", "--wait", 0.2)
    assert (code, output) == (1, "")
    assert errors.startswith("UNAVAILABLE\nthe server cannot be reached: ")


def test_a_server_with_tls_is_checked_with_its_certificate(
    health: Health, tls_server: tuple[str, Path]
) -> None:
    target, pem = tls_server
    assert health("--server", target, "--ca", pem) == (0, "SERVING\n", "")
    code, output, errors = health("--server", target)
    assert (code, output) == (1, "")
    assert errors.startswith("UNAVAILABLE\n") and "the server may need TLS" in errors


@pytest.mark.parametrize("clients", ["without certificates", "of the same authority", "of another authority"])
def test_a_server_of_this_machine_with_tls_needs_no_flags(
    health: Health,
    tiny_models: Path,
    authority: Authority,
    other_authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    clients: str,
) -> None:
    certificate, key = authority.issue("of-this-machine", "vision.example")
    monkeypatch.setenv("SPYGLASS_TLS_CERTIFICATE", str(certificate))
    monkeypatch.setenv("SPYGLASS_TLS_KEY", str(key))
    monkeypatch.setenv("SPYGLASS_PORT", "0")
    if clients != "without certificates":
        accepted = authority if clients == "of the same authority" else other_authority
        monkeypatch.setenv("SPYGLASS_TLS_CLIENT_CA", str(accepted.pem))
    started = Server(load_settings(["--models", str(tiny_models)]))
    started.start()
    try:
        monkeypatch.setenv("SPYGLASS_PORT", str(started.port))
        if clients == "of another authority":
            assert "a client certificate that it accepts" in health()[2]
            own, own_key = other_authority.issue("of-the-probe", "probe.example")
            assert health("--certificate", own, "--key", own_key) == (0, "SERVING\n", "")
        else:
            assert health() == (0, "SERVING\n", "")
    finally:
        started.stop(grace=0)


def test_a_missing_certificate_file_is_invalid_usage(health: Health, tmp_path: Path) -> None:
    code, output, errors = health("--ca", tmp_path / "missing.pem")
    assert (code, output) == (2, "")
    assert "missing.pem: No such file" in errors


@pytest.mark.parametrize("flags", [("--timeout", "-3"), ("--wait", "nan"), ("--server", "nowhere:port")])
def test_an_invalid_value_ends_the_command_with_2(health: Health, flags: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        health(*flags)
    assert ended.value.code == 2


def test_without_a_server_the_settings_of_the_environment_name_it(
    health: Health, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, port = server.split(":")
    monkeypatch.setenv("SPYGLASS_PORT", port)
    assert health() == (0, "SERVING\n", "")
    for name in ("0.0.0.0", "::", "[::]", host, " "):
        monkeypatch.setenv("SPYGLASS_HOST", name)
        assert health("--wait", 5) == (0, "SERVING\n", "")
    monkeypatch.setenv("SPYGLASS_PORT", "1")
    assert health()[0] == 1
    monkeypatch.setenv("SPYGLASS_SERVER", server)
    assert health() == (0, "SERVING\n", "")


def test_the_settings_file_names_the_server_too(
    health: Health, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "settings.yaml").write_text(f"port: {server.split(':')[1]}\nhost: 127.0.0.1\n")
    monkeypatch.setenv("SPYGLASS_CONFIG", str(tmp_path / "settings.yaml"))
    assert health() == (0, "SERVING\n", "")


@pytest.mark.parametrize(("value", "message"), [("http", "SPYGLASS_PORT must be"), ("0", "port 0")])
def test_an_invalid_setting_is_an_error(
    health: Health, monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv("SPYGLASS_PORT", value)
    code, output, errors = health()
    assert (code, output) == (2, "") and message in errors


def test_a_unix_socket_is_checked(
    health: Health, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_HOST", f"unix:{tmp_path}/s.sock")
    started = Server(load_settings(["--models", str(tiny_models)]))
    started.start()
    try:
        assert health() == (0, "SERVING\n", "")
    finally:
        started.stop(grace=0)
