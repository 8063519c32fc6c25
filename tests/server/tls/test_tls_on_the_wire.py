"""Servers with TLS, and clients that trust them, do not trust them, or show certificates of their own."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from spyglass.v1.model_pb2 import ListModelsRequest
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_client import Credentials, Unavailable
from spyglass_server.tls.files import TlsFiles
from tls_servers import PATIENCE, client_of, serving, shown_by


def test_a_client_that_trusts_the_authority_is_served(tiny_models: Path, files: TlsFiles, authority) -> None:
    with (
        serving(tiny_models, files) as server,
        client_of(server, Credentials.from_files(ca=authority.pem)) as client,
    ):
        assert [model.name for model in client.models()]


def test_a_client_that_does_not_trust_it_hears_why(tiny_models: Path, files: TlsFiles) -> None:
    with serving(tiny_models, files) as server, client_of(server, Credentials(tls=True)) as client:
        with pytest.raises(Unavailable) as raised:
            client.models()
        assert raised.value.reason == "TLS_FAILED"


def test_a_server_that_requires_certificates_serves_their_owners_only(
    tiny_models: Path, files: TlsFiles, authority
) -> None:
    certificate, key = authority.issue("caller", "caller.example")
    mutual = TlsFiles(files.certificate, files.key, authority.pem)
    with serving(tiny_models, mutual) as server:
        own = Credentials.from_files(ca=authority.pem, certificate=certificate, key=key)
        with client_of(server, own) as client:
            assert client.models()
        with (
            client_of(server, Credentials.from_files(ca=authority.pem)) as client,
            pytest.raises(Unavailable),
        ):
            client.models()


def test_a_changed_certificate_serves_new_connections_and_keeps_the_old_ones(
    tiny_models: Path, files: TlsFiles, authority, eventually: Callable[..., None]
) -> None:
    certificate, key = authority.issue("next")
    before = files.certificate.read_bytes()
    with serving(tiny_models, files) as server:
        tls = grpc.ssl_channel_credentials(authority.pem.read_bytes())
        with grpc.secure_channel(f"localhost:{server.port}", tls) as channel:
            stub = VisionStub(channel)
            assert stub.ListModels(ListModelsRequest(), timeout=PATIENCE).models
            first = shown_by(server.port, authority.pem)
            # Half of a change: the key fits no more.
            files.certificate.write_bytes(certificate.read_bytes())
            assert shown_by(server.port, authority.pem) == first
            files.key.write_bytes(key.read_bytes())
            assert shown_by(server.port, authority.pem) != first
            assert files.certificate.read_bytes() != before
            assert stub.ListModels(ListModelsRequest(), timeout=PATIENCE).models


def test_a_link_that_points_elsewhere_is_a_change(
    tiny_models: Path, files: TlsFiles, authority, tmp_path: Path
) -> None:
    # As Kubernetes changes the files of a secret.
    names = ("first", "second")
    for name in names:
        (tmp_path / name).mkdir()
        for source, target in zip(authority.issue(name), ("tls.crt", "tls.key"), strict=True):
            (tmp_path / name / target).write_bytes(source.read_bytes())
    data = tmp_path / "..data"
    data.symlink_to("first")
    linked = TlsFiles(data / "tls.crt", data / "tls.key")
    with serving(tiny_models, linked) as server:
        first = shown_by(server.port, authority.pem)
        other = tmp_path / "..new"
        other.symlink_to("second")
        os.replace(other, data)
        assert shown_by(server.port, authority.pem) != first


def test_older_versions_of_tls_are_refused(tiny_models: Path, files: TlsFiles, authority) -> None:
    with serving(tiny_models, files) as server:
        context = ssl.create_default_context(cafile=str(authority.pem))
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(("localhost", server.port), PATIENCE) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            context.wrap_socket(plain, server_hostname="localhost")


def test_a_client_without_tls_hears_what_may_be_wrong(tiny_models: Path, files: TlsFiles) -> None:
    with serving(tiny_models, files) as server, client_of(server, Credentials()) as client:
        with pytest.raises(Unavailable) as raised:
            client.models()
        assert "the server may need TLS" in raised.value.message


@pytest.mark.slow
def test_failed_handshakes_write_nothing_beside_the_log(
    spawn_server: Callable[..., Any], tiny_models: Path, files: TlsFiles
) -> None:
    flags = ("--tls-certificate", files.certificate, "--tls-key", files.key, "--log-format", "json")
    server = spawn_server("--models", tiny_models, *flags)
    server.wait_until_serving()
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        with socket.create_connection(("localhost", server.port), PATIENCE) as plain:
            plain.sendall(data)
            plain.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while plain.recv(4096):
                    continue
    server.process.terminate()
    assert server.wait_until_ended() == 0
    for line in server.log:
        assert json.loads(line)
