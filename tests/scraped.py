"""A server process with every kind of metric, and a Prometheus process that scrapes it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import grpc
import pytest
import trustme
import yaml
from PIL import Image as Pillow

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.vision_pb2_grpc import VisionStub

PATIENCE = 60.0


class ScrapedServer:
    """`spyglass serve` with TLS, metrics, statistics and a baseline."""

    def __init__(self, folder: Path, file: Path, encode: Callable[..., bytes]) -> None:
        self.image = encode(Pillow.new("RGB", (20, 12), "red"), "PNG")
        photos = folder / "photos"
        photos.mkdir()
        for number in range(60):
            color = ("red", "lime", "blue")[number % 3]
            (photos / f"{number}.png").write_bytes(encode(Pillow.new("RGB", (8, 8), color), "PNG"))
        _spyglass("baseline", file.parent, photos)
        authority = trustme.CA()
        self._trusted = authority.cert_pem.bytes()
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(str(folder / "tls.key"))
        (folder / "tls.crt").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "spyglass_cli", "serve", "--host", "localhost", "--port", "0"),
                *("--models", str(file.parents[2]), "--profile-seconds", "0", "--statistics"),
                *("--metrics-port", "0", "--max-streams", "1", "--log-level", "info"),
                *("--tls-certificate", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key")),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = self.metrics_port = 0
        self._found, self._stopping = Event(), Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._found.wait(PATIENCE), "the server did not start"
        self._traffic = Thread(target=self._send, daemon=True)
        self._traffic.start()

    def end(self) -> None:
        """Stop the traffic and the server."""
        self._stopping.set()
        self._traffic.join()
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._reader.join()
        assert self._process.stderr
        self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            if found := re.search(r"metrics on port (\d+)", line):
                self.metrics_port = int(found[1])
            if found := re.search(r"serving on port (\d+)", line):
                self.port = int(found[1])
                self._found.set()

    def _send(self) -> None:
        """Send requests of every kind until the end: answered, wrong, refused, cancelled, and streams."""
        credentials = grpc.ssl_channel_credentials(self._trusted)
        good, bad = (ClassifyRequest(image=Image(encoded=each)) for each in (self.image, b"no image"))
        with grpc.secure_channel(f"localhost:{self.port}", credentials) as channel:
            stub = VisionStub(channel)
            while not self._stopping.is_set():
                stub.Classify(good, timeout=PATIENCE)
                assert len(list(stub.ClassifyStream(iter([good, bad]), timeout=PATIENCE))) == 2
                # A stream that stays open, so that the next one is refused.
                held = stub.ClassifyStream(self._slowly(good), timeout=PATIENCE)
                next(held)
                with suppress(grpc.RpcError):
                    list(stub.ClassifyStream(iter([good]), timeout=PATIENCE))
                held.cancel()
                calls = [stub.Classify.future(good, timeout=PATIENCE) for _ in range(20)]
                for call in calls:
                    call.cancel()

    def _slowly(self, request: ClassifyRequest) -> Iterator[ClassifyRequest]:
        yield request
        self._stopping.wait(1)


class Prometheus:
    """A Prometheus process with the rules of the project; it scrapes each second."""

    def __init__(self, folder: Path, rules: Path, target: str) -> None:
        for name in ("recording.yml", "alerts.yml"):
            shutil.copy(rules / name, folder)
        config = yaml.safe_load((rules / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.address = f"localhost:{_free_port()}"
        self._process = subprocess.Popen(
            [
                "prometheus",
                *("--config.file", str(folder / "prometheus.yml"), "--web.listen-address", self.address),
                *("--storage.tsdb.path", str(folder / "data")),
            ],
            stderr=subprocess.DEVNULL,
        )

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of a response of Prometheus's HTTP interface."""
        with urlopen(f"http://{self.address}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as response:
            return json.load(response)["data"]

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until Prometheus responds and `condition` is true."""
        ends = time.monotonic() + PATIENCE
        while True:
            with suppress(URLError, ConnectionError):
                if condition():
                    return
            assert time.monotonic() < ends, "Prometheus has not found what it should in 60 s"
            time.sleep(0.2)

    def end(self) -> None:
        """Stop the process."""
        self._process.terminate()
        self._process.wait(PATIENCE)


def _spyglass(*arguments: object) -> None:
    command = [sys.executable, "-m", "spyglass_cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


def _free_port() -> int:
    with socket.create_server(("localhost", 0)) as found:
        return int(found.getsockname()[1])


def need(*programs: str) -> None:
    """Skip the test if a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs the program {program}, of Debian's package prometheus")
