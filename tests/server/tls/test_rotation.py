"""Certificates that change, in each way that files are changed, while clients connect and call."""

from __future__ import annotations

import os
import shutil
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from threading import Event

import grpc
import pytest

from authorities import Authority
from spyglass.v1.model_pb2 import ListModelsRequest
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_client import Client, Credentials, Unavailable
from spyglass_server.tls.files import TlsFiles
from tls_servers import PATIENCE, client_of, serving, shown_by

Pair = tuple[Path, Path]


def replace_files(files: TlsFiles, pair: Pair) -> None:
    """Change the files as `mv` and most programs do: each one in a step, one after the other."""
    for source, target in zip(pair, (files.certificate, files.key), strict=True):
        new = target.with_suffix(".new")
        shutil.copyfile(source, new)
        os.replace(new, target)


def rewrite_files(files: TlsFiles, pair: Pair) -> None:
    """Change the files in place, as `cp` does, and slowly: each is half-written for a while."""
    for source, target in zip(pair, (files.certificate, files.key), strict=True):
        data = source.read_bytes()
        with target.open("wb", buffering=0) as file:
            for start in range(0, len(data), 200):
                file.write(data[start : start + 200])
                time.sleep(0.002)


def link_files(files: TlsFiles, pair: Pair) -> None:
    """Change both files in one step, as Kubernetes does: they are in a folder that is a link."""
    folder = files.certificate.parent
    new = folder.with_name(f"{time.monotonic_ns()}")
    new.mkdir()
    shutil.copyfile(pair[0], new / files.certificate.name)
    shutil.copyfile(pair[1], new / files.key.name)
    link = folder.with_name("..new")
    link.symlink_to(new)
    os.replace(link, folder)


@pytest.fixture
def linked(files: TlsFiles, tmp_path: Path) -> TlsFiles:
    """The same files, in a folder that is a link."""
    data = tmp_path / "..data"
    (tmp_path / "first").mkdir()
    data.symlink_to("first")
    for path in (files.certificate, files.key):
        shutil.copyfile(path, data / path.name)
    return TlsFiles(data / files.certificate.name, data / files.key.name)


@pytest.mark.slow
@pytest.mark.parametrize("change", [replace_files, rewrite_files, link_files])
def test_no_call_fails_while_certificates_change(
    tiny_models: Path, linked: TlsFiles, authority, change: Callable[[TlsFiles, Pair], None]
) -> None:
    tls = grpc.ssl_channel_credentials(authority.pem.read_bytes())
    pairs = [authority.issue(f"{change.__name__}-{number}") for number in range(3)]
    done = Event()

    with serving(tiny_models, linked) as server:

        def call(channel: grpc.Channel) -> None:
            assert VisionStub(channel).ListModels(ListModelsRequest(), timeout=PATIENCE).models

        def open_channel() -> grpc.Channel:
            options = [("grpc.use_local_subchannel_pool", 1)]
            return grpc.secure_channel(f"localhost:{server.port}", tls, options)

        def stay() -> int:
            calls = 0
            with open_channel() as channel:
                while not done.is_set():
                    call(channel)
                    calls += 1
            return calls

        def come_and_go() -> int:
            connections = 0
            while not done.is_set():
                with open_channel() as channel:
                    call(channel)
                connections += 1
            return connections

        with ThreadPoolExecutor(4) as pool:
            callers = [pool.submit(what) for what in (stay, come_and_go, come_and_go)]
            try:
                for pair in islice(cycle(pairs), 20):
                    change(linked, pair)
                    time.sleep(0.05)
            finally:
                done.set()
            assert all(caller.result() > 20 for caller in callers)
        # Files that were read within the resolution of their times are read again a little later.
        ends = time.monotonic() + PATIENCE
        last = _der(linked.certificate)
        while shown_by(server.port, authority.pem) != last:
            assert time.monotonic() < ends


def _der(certificate: Path) -> bytes:
    pem = certificate.read_text()
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END") + len("-----END CERTIFICATE-----\n")])


def test_changed_authorities_of_clients_are_for_new_connections(
    tiny_models: Path, files: TlsFiles, authority, other_authority, tmp_path: Path
) -> None:
    client_ca = tmp_path / "clients.pem"
    shutil.copyfile(authority.pem, client_ca)

    def client(issuer: Authority) -> Client:
        certificate, key = issuer.issue("caller", "caller.example")
        return client_of(server, Credentials.from_files(ca=authority.pem, certificate=certificate, key=key))

    with serving(tiny_models, TlsFiles(files.certificate, files.key, client_ca)) as server:
        with client(other_authority) as refused, pytest.raises(Unavailable):
            refused.models()
        with client(authority) as old, client(other_authority) as new:
            assert old.models()
            shutil.copyfile(other_authority.pem, client_ca)
            assert new.models()
            assert old.models()
        with client(authority) as refused, pytest.raises(Unavailable):
            refused.models()
