"""Several worker processes on one port, in real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

import spyglass_client as sc
from supervised import Supervised, is_running, wait_for

pytestmark = pytest.mark.slow

Supervise = Callable[..., Supervised]
ColorImage = Callable[..., bytes]
COLORS = ("red", "green", "blue")


@pytest.fixture
def supervised(supervise: Supervise, tiny_models: Path) -> Supervised:
    made = supervise("--models", tiny_models)
    made.wait_until_all_serve()
    return made


class Load:
    """Clients that classify until they are stopped, each on a thread with a connection of its own."""

    def __init__(
        self, address: str, color_image: ColorImage, clients: int, retry: sc.Retry | None = None
    ) -> None:
        self.calls = 0
        self.failures: list[BaseException] = []
        self.wrong: list[str] = []
        self._address = address
        self._retry = retry or sc.Retry()
        self._images = {color: color_image(color) for color in COLORS}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with sc.Client(self._address, retry=self._retry) as client:
            while not self._stopping.is_set():
                for name, image in self._images.items():
                    try:
                        found = client.classify(image).best.name
                    except BaseException as error:
                        self.failures.append(error)
                        continue
                    with self._lock:
                        self.calls += 1
                    if found != name:
                        self.wrong.append(f"{found} for {name}")


def classify_on_many_connections(address: str, image: bytes, connections: int) -> None:
    for _ in range(connections):
        with sc.Client(address) as client:
            assert client.classify(image).best.name == "red"


def test_all_workers_answer_and_their_metrics_are_one(
    supervised: Supervised, color_image: ColorImage
) -> None:
    classify_on_many_connections(supervised.address, color_image("red"), 40)

    assert supervised.value("spyglass_requests_total", code="OK") == 40
    assert supervised.value("spyglass_request_duration_seconds_count") == 40
    wait_for(lambda: sum("/Classify" in line for line in supervised.process.log) == 40)
    by_worker = {
        number: sum(f"Classify worker={number} " in line for line in supervised.process.log)
        for number in (1, 2)
    }
    # The kernel chooses by a hash of the addresses: that one of two gets none of 40 is chance of 2 in 10¹².
    assert min(by_worker.values()) > 0
    assert sum(by_worker.values()) == 40
    memory = supervised.metrics()["process_resident_memory_bytes"]
    assert {dict(labels)["worker"] for labels in memory} == {"1", "2", "supervisor"}
    assert supervised.value("spyglass_serving") == 1
    assert supervised.value("spyglass_workers") == supervised.value("spyglass_workers_serving") == 2


def test_no_call_fails_while_workers_are_killed(supervised: Supervised, color_image: ColorImage) -> None:
    with Load(supervised.address, color_image, clients=6) as load:
        for number in (1, 2, 1, 2, 2, 1):
            supervised.wait_until_all_serve()
            done = load.calls
            wait_for(lambda done=done: load.calls > done + 100)
            supervised.kill(number)
            wait_for(lambda: supervised.page("readyz")[1].startswith("ok: 1 "))
        supervised.wait_until_all_serve()

    assert load.failures == []
    assert load.wrong == []
    assert load.calls > 1000
    assert supervised.value("spyglass_workers_replaced_total") == 6
    counted = supervised.value("spyglass_requests_total", code="OK")
    # What a killed worker has counted since it was read last is lost. A response that did not arrive counts,
    # too: one of each client at each kill.
    assert 0 < counted <= load.calls + 6 * 6


def test_a_stream_survives_the_kill_of_its_worker(supervised: Supervised, color_image: ColorImage) -> None:
    images = [color_image(color) for color in COLORS]
    kills = {300: 1, 600: 2}

    def numbered() -> Iterator[bytes]:
        for number in range(900):
            if number in kills:
                supervised.wait_until_all_serve()
                supervised.kill(kills[number])
            yield images[number % 3]

    with sc.Client(supervised.address) as client:
        results = list(client.classify_many(numbered()))

    assert [result.best.name for result in results if isinstance(result, sc.Classification)] == [
        COLORS[number % 3] for number in range(900)
    ]


def test_only_the_calls_of_a_killed_worker_fail_and_they_are_unavailable(
    supervised: Supervised, color_image: ColorImage
) -> None:
    clients = 6
    with Load(supervised.address, color_image, clients, retry=sc.Retry(attempts=1)) as load:
        wait_for(lambda: load.calls > 200)
        supervised.kill(1)
        wait_for(lambda: supervised.page("readyz")[1].startswith("ok: 1 "))
        supervised.wait_until_all_serve()
        done = load.calls
        wait_for(lambda: load.calls > done + 200)

    assert {type(error) for error in load.failures} <= {sc.Unavailable}
    # Each client has one call at a time.
    assert len(load.failures) <= clients
    assert load.wrong == []


def test_counts_do_not_go_backwards_when_a_worker_is_replaced(
    supervised: Supervised, color_image: ColorImage
) -> None:
    classify_on_many_connections(supervised.address, color_image("red"), 20)
    assert supervised.value("spyglass_requests_total") == 20

    supervised.kill(1)
    wait_for(lambda: supervised.page("readyz")[1].startswith("ok: 1 "))

    assert supervised.value("spyglass_requests_total") == 20
    supervised.wait_until_all_serve()
    assert supervised.value("spyglass_requests_total") == 20
    assert supervised.value("spyglass_stage_duration_seconds_count", stage="inference") == 20


def test_a_signal_drains_all_workers(supervised: Supervised) -> None:
    pids = supervised.pids()

    supervised.process.process.send_signal(signal.SIGTERM)

    assert supervised.process.wait_until_ended() == 0
    assert not any(is_running(pid) for pid in pids.values())
    log = "".join(supervised.process.log)
    assert "draining 2 workers for up to 20 s" in log
    for number in (1, 2):
        assert f"draining for up to 20 s worker={number}" in log
    assert log.rstrip().endswith("stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_drains_once(supervised: Supervised, number: signal.Signals) -> None:
    # As a terminal does, or a service manager.
    for pid in (*supervised.pids().values(), supervised.process.process.pid):
        os.kill(pid, number)

    assert supervised.process.wait_until_ended() == 0


def test_a_worker_that_is_told_to_end_drains_and_is_replaced(supervised: Supervised) -> None:
    first = supervised.pids()[1]

    os.kill(first, signal.SIGTERM)

    wait_for(lambda: supervised.pids()[1] != first)
    supervised.wait_until_all_serve()
    log = "".join(supervised.process.log)
    assert "draining for up to 20 s worker=1" in log
    assert "worker 1 has ended with exit code 0: another one starts" in log


def test_a_second_signal_ends_all_processes_at_once(supervise: Supervise, tiny_models: Path) -> None:
    supervised = supervise("--models", tiny_models, "--grace-seconds", 60)
    supervised.wait_until_all_serve()
    pids = supervised.pids()
    idle = threading.Event()

    with sc.Client(supervised.address) as client:

        def images() -> Any:
            yield b"no image"
            idle.wait(60)

        stream = client.classify_many(images())
        reader = threading.Thread(target=lambda: [None for _ in _until_failed(stream)])
        reader.start()
        wait_for(lambda: supervised.value("spyglass_open_streams") == 1)
        supervised.process.process.send_signal(signal.SIGTERM)
        wait_for(lambda: any("draining 2 workers" in line for line in supervised.process.log))
        supervised.process.process.send_signal(signal.SIGTERM)

        assert supervised.process.wait_until_ended() == 128 + signal.SIGTERM
        idle.set()
        reader.join()
    wait_for(lambda: not any(is_running(pid) for pid in pids.values()))


def _until_failed(stream: Any) -> Any:
    try:
        yield from stream
    except sc.SpyglassError:
        return


def test_workers_end_with_a_killed_supervisor_and_another_one_takes_the_port(
    supervise: Supervise, supervised: Supervised, tiny_models: Path, color_image: ColorImage
) -> None:
    pids = supervised.pids()
    with sc.Client(supervised.address) as client:
        client.classify(color_image("red"))
        supervised.process.process.kill()

        second = supervise("--models", tiny_models, "--port", supervised.process.port)
        second.wait_until_all_serve()
        assert client.classify(color_image("red")).best.name == "red"

    assert second.process.port == supervised.process.port
    wait_for(lambda: not any(is_running(pid) for pid in pids.values()))
    assert supervised.process.wait_until_ended() == -signal.SIGKILL
    assert "draining for up to 20 s worker=1" in "".join(supervised.process.log)


def test_a_server_with_an_error_does_not_start(supervise: Supervise, tiny_models: Path) -> None:
    supervised = supervise("--models", tiny_models, "--default-model", "nope", workers=3)

    assert supervised.process.wait_until_ended() == 1
    errors = [line for line in supervised.process.log if " ERROR " in line]
    assert len(errors) == 2
    assert "the default model 'nope' is not among the models: colors worker=1" in errors[0]
    assert "worker 1 could not start: exit code 1" in errors[1]


def test_a_port_in_use_is_an_error(supervise: Supervise, tiny_models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        supervised = supervise("--models", tiny_models, "--host", "127.0.0.1", "--port", port)

        assert supervised.process.wait_until_ended() == 1
    (line,) = [line for line in supervised.process.log if " ERROR " in line]
    assert f"cannot listen on 127.0.0.1:{port}: another process uses this port" in line


def test_a_worker_that_cannot_start_again_is_tried_less_and_less_often(
    supervise: Supervise, tiny_models: Path, tmp_path: Path, color_image: ColorImage
) -> None:
    models = tmp_path / "models"
    shutil.copytree(tiny_models, models)
    (file,) = models.glob("*/*/model.onnx")
    supervised = supervise("--models", models)
    supervised.wait_until_all_serve()
    content = file.read_bytes()
    file.write_bytes(content[:100])

    supervised.kill(1)
    log = supervised.process.log
    for text in ("SIGKILL: another one starts", "code 1: another one starts in 0.5 s", "starts in 1 s"):
        wait_for(lambda text=text: any(text in line for line in log))
    # The other one goes on.
    assert supervised.page("readyz") == (200, "ok: 1 of 2 workers serve\n")
    with sc.Client(supervised.address) as client:
        assert client.classify(color_image("red")).best.name == "red"
    file.write_bytes(content)

    supervised.wait_until_all_serve()


def test_the_log_has_the_number_of_the_worker_in_json_too(
    supervise: Supervise, tiny_models: Path, color_image: ColorImage
) -> None:
    supervised = supervise("--models", tiny_models, "--log-format", "json")
    supervised.process.wait_until_serving()
    with sc.Client(supervised.address) as client:
        client.classify(color_image("red"))
    supervised.process.process.send_signal(signal.SIGTERM)
    supervised.process.wait_until_ended()

    lines = [json.loads(line) for line in supervised.process.log]
    (line,) = [line for line in lines if line["message"].endswith("/Classify")]
    assert line["worker"] in (1, 2)
    assert {line.get("worker") for line in lines if line["message"] == "stopped"} == {None, 1, 2}


def test_nothing_is_left_in_the_temporary_folder(
    supervise: Supervise, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for end in (signal.SIGTERM, signal.SIGKILL):
        supervised = supervise("--models", tiny_models)
        supervised.wait_until_all_serve()
        (folder,) = tmp_path.glob("spyglass-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        pids = supervised.pids()

        supervised.process.process.send_signal(end)

        wait_for(lambda pids=pids: not any(is_running(pid) for pid in pids.values()))
        supervised.process.wait_until_ended()
        assert not list(tmp_path.glob("spyglass-*"))


def test_top_shows_a_server_with_several_workers(supervised: Supervised, color_image: ColorImage) -> None:
    classify_on_many_connections(supervised.address, color_image("red"), 10)
    (line,) = [line for line in supervised.process.log if "metrics on port" in line]
    port = re.findall(r"port (\d+)", line)[0]

    command = [sys.executable, "-m", "spyglass_cli", "top", "localhost", "--metrics", f"localhost:{port}"]
    shown = subprocess.run([*command, "--once"], capture_output=True, text=True, check=True).stdout

    assert "serving" in shown
    assert "colors/1" in shown


def test_all_workers_answer_on_the_port_of_http(
    supervise: Supervise, tiny_models: Path, color_image: ColorImage
) -> None:
    pytest.importorskip("uvicorn")
    supervised = supervise("--models", tiny_models, "--http-port", 0)
    supervised.wait_until_all_serve()
    log = supervised.process.log
    wait_for(lambda: sum("HTTP on port" in line for line in log) == 2)
    (port,) = {line.partition("port ")[2].split()[0] for line in log if "HTTP on port" in line}

    for _ in range(40):
        request = Request(f"http://localhost:{port}/v1/classify", color_image("blue"))
        request.add_header("Content-Type", "image/png")
        with urlopen(request, timeout=60) as response:
            assert json.load(response)["classes"][0]["name"] == "blue"

    wait_for(lambda: supervised.value("spyglass_requests_total", code="OK") == 40)
    for number in (1, 2):
        wait_for(lambda number=number: any(f"lassify worker={number} " in line for line in log))
