"""Faults of files, disks and operators while a real server process changes its models under load."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from changing_models import Load, Repository, write_classifier
from spyglass_cli.main import main
from spyglass_client import Client, FailedPrecondition, SpyglassError

pytestmark = pytest.mark.slow

KINDS = ("classify", "heatmap", "stream")


@dataclass
class Site:
    """A server process whose models may change, a client of it, and its repository."""

    process: Any
    client: Client
    repository: Repository

    @property
    def routing(self) -> Path:
        return self.repository.root / "colors/routing.json"

    def labels(self) -> dict[str, int]:
        return dict(self.client.versions().routing("colors").labels)

    def states(self) -> dict[int, tuple[str, str]]:
        """Return the state and the reason of each version that does not drain."""
        return {
            status.version: (status.state, status.reason)
            for status in self.client.versions().versions
            if status.name == "colors" and status.state != "draining"
        }

    @property
    def log(self) -> str:
        return "".join(self.process.log)


@pytest.fixture
def start(spawn_server: Callable[..., Any], repository: Repository) -> Iterator[Callable[..., Site]]:
    """Start a server of the repository: `start("--poll-seconds", 0.1)`."""
    sites: list[Site] = []

    def begin(*flags: object) -> Site:
        process = spawn_server("--models", repository.root, "--admin", "--concurrency", 2, *flags)
        process.wait_until_serving()
        sites.append(Site(process, Client(process.address), repository))
        return sites[-1]

    yield begin
    for site in sites:
        site.client.close()
        site.process.end()
        assert "Traceback" not in site.log


def test_a_file_that_is_written_slowly_serves_when_it_is_whole(
    start: Callable[..., Site], eventually: Callable[..., None]
) -> None:
    site = start("--poll-seconds", 0.1)
    data = write_classifier(site.repository.beside, 2).read_bytes()
    target = site.repository.root / "colors/2/model.onnx"
    target.parent.mkdir()
    with Load(site.process.address, newest=2, kinds=KINDS).running() as load:
        with target.open("wb") as file:
            for part in range(10):
                file.write(data[part * len(data) // 10 : (part + 1) * len(data) // 10])
                file.flush()
                time.sleep(0.15)
        eventually(partial(load.seen, 2))
        assert site.states() == {2: ("serving", "")}


def test_a_file_that_is_cut_off_during_a_reload_changes_nothing_but_its_state(
    start: Callable[..., Site], eventually: Callable[..., None]
) -> None:
    site = start()
    with Load(site.process.address, kinds=KINDS).running() as load:
        eventually(partial(load.seen, 1))
        path = write_classifier(site.repository.beside, 2)
        site.repository.move(path)
        target = site.repository.root / "colors/2/model.onnx"
        whole = target.read_bytes()
        with ThreadPoolExecutor(1) as thread:
            reload = thread.submit(site.client.admin.reload)
            target.write_bytes(whole[: len(whole) // 2])
            # The load reads the whole file, the half, or sees the change: it depends on the moment.
            with suppress(FailedPrecondition):
                reload.result()
        # The version that serves may be the whole one that is not there any more.
        load.newest = 2
        site.client.admin.reload()
        states = site.states()
        assert states[2][1] and states[2][0] in ("failed", "serving")
        target.write_bytes(whole)
        load.swap(site.client.admin.reload, 2)
        eventually(partial(load.seen, 2))
        assert site.states() == {2: ("serving", "")}


def test_damaged_labels_stay_as_they_are_until_the_file_is_repaired(
    start: Callable[..., Site], eventually: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    site = start("--poll-seconds", 0.1, "--versions", "all")
    site.repository.add(2)
    site.client.admin.reload()
    site.client.admin.set_label("colors", "stable", 1)
    good = site.routing.read_bytes()
    with Load(site.process.address, kinds=KINDS).running() as load:
        eventually(partial(load.seen, 1))
        for damage in (b"", good[:-10], b"\xff" * 100, b'{"labels": {"stable": "two"}}', b"[" * 100_000):
            site.routing.write_bytes(damage)
            with pytest.raises(FailedPrecondition) as caught:
                site.client.admin.set_label("colors", "canary", 2)
            assert caught.value.reason == "ROUTING_DAMAGED" and len(caught.value.message) < 300
            assert site.labels() == {"stable": 1}
        eventually(lambda: "the labels of colors stay as they are" in site.log)
        assert main(["models", "list", "--server", site.process.address]) == 0
        assert "colors/routing.json is damaged" in capsys.readouterr().out
    site.routing.write_bytes(good)
    assert dict(site.client.admin.set_label("colors", "canary", 2).labels) == {"stable": 1, "canary": 2}


def test_a_server_does_not_start_with_damaged_labels(
    spawn_server: Callable[..., Any], repository: Repository
) -> None:
    (repository.root / "colors/routing.json").write_text('{"labels": ')
    process = spawn_server("--models", repository.root, "--admin")
    assert process.wait_until_ended() == 1
    assert "colors/routing.json is damaged" in "".join(process.log)
    assert "Traceback" not in "".join(process.log)


def test_a_label_that_cannot_be_written_does_not_take_effect(start: Callable[..., Site]) -> None:
    site = start("--versions", "all")
    site.repository.add(2)
    site.client.admin.reload()
    site.client.admin.set_label("colors", "stable", 1)
    before = site.routing.read_bytes()
    server = psutil.Process(site.process.process.pid)
    # No file may grow, as on a disk that is full; the log goes to a pipe.
    _, hard = server.rlimit(resource.RLIMIT_FSIZE)
    server.rlimit(resource.RLIMIT_FSIZE, (0, hard))
    with Load(site.process.address, kinds=KINDS).running():
        for change in (
            lambda: site.client.admin.set_label("colors", "stable", 2),
            lambda: site.client.admin.set_traffic("colors", "stable", 2, 10),
        ):
            with pytest.raises(FailedPrecondition) as caught:
                change()
            assert caught.value.reason == "STORE_UNWRITABLE"
            assert str(site.repository.root) not in caught.value.message
        assert site.labels() == {"stable": 1}
    assert site.routing.read_bytes() == before
    assert sorted(path.name for path in site.routing.parent.iterdir()) == ["1", "2", "routing.json"]
    server.rlimit(resource.RLIMIT_FSIZE, (hard, hard))
    site.client.admin.set_label("colors", "stable", 2)
    assert site.labels() == {"stable": 2}


def test_changes_of_several_operators_at_once_are_all_made(start: Callable[..., Site]) -> None:
    site = start("--versions", "all")
    for version in (2, 3, 4):
        site.repository.add(version)
    admin = site.client.admin
    changes: list[Callable[[], object]] = [
        *(partial(admin.set_label, "colors", f"label-{number}", number % 4 + 1) for number in range(12)),
        *(partial(admin.load, f"colors:{version}") for version in (2, 3, 4)),
        *(partial(admin.set_label, "masks", f"label-{number}", number % 4 + 1) for number in range(12)),
        *[admin.reload] * 4,
    ]
    with (
        Load(site.process.address, newest=4, kinds=KINDS).running(),
        ThreadPoolExecutor(len(changes)) as threads,
    ):
        for change in [threads.submit(change) for change in changes]:
            change.result()
    expected = {f"label-{number}": number % 4 + 1 for number in range(12)}
    assert site.labels() == json.loads(site.routing.read_text())["labels"] == expected
    assert dict(site.client.versions().routing("masks").labels) == expected
    assert site.states() == dict.fromkeys((1, 2, 3, 4), ("serving", ""))


def test_a_version_that_is_deleted_while_it_loads_leaves_no_trace(
    start: Callable[..., Site], eventually: Callable[..., None]
) -> None:
    site = start()
    folder = site.repository.root / "colors/2"
    with Load(site.process.address, newest=2, kinds=KINDS).running() as load:
        for delay in (0, 0.001, 0.003, 0.01, 0.02, 0.04):
            site.repository.move(write_classifier(site.repository.beside, 2))
            with ThreadPoolExecutor(1) as thread:
                loading = thread.submit(site.client.admin.load, "colors:2")
                time.sleep(delay)
                shutil.rmtree(folder)
                # It was whole when it was read, or was not.
                with suppress(SpyglassError):
                    loading.result()
            site.client.admin.reload()
            assert site.states() == {1: ("serving", "")}
        load.newest = 1
        eventually(partial(load.seen, 1))


def test_labels_survive_a_server_that_is_killed(start: Callable[..., Site]) -> None:
    site = start("--versions", "all")
    site.repository.add(2)
    site.client.admin.set_label("colors", "stable", 1)
    site.client.admin.set_label("colors", "canary", 2)
    site.client.admin.set_traffic("colors", "stable", "canary", 10)
    before = site.client.versions().routing("colors")
    site.process.process.kill()
    again = start("--versions", "all")
    assert again.client.versions().routing("colors") == before
    assert again.client.admin.remove_label("colors", "canary").traffic == ()
