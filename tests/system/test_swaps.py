"""Models of a real server process change while requests run: none fails, and each names its version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from changing_models import Load, Repository
from spyglass_client import Client

pytestmark = pytest.mark.slow

SWAPS = 50


@pytest.mark.parametrize(
    ("swaps", "flags"),
    [(SWAPS, ()), (15, ("--response-cache-bytes", 2**20)), (15, ("--workers", 2))],
    ids=["plain", "cache", "workers"],
)
def test_no_request_fails_while_versions_are_swapped(
    spawn_server: Callable[..., Any],
    repository: Repository,
    eventually: Callable[..., None],
    swaps: int,
    flags: tuple[object, ...],
) -> None:
    server = spawn_server("--models", repository.root, "--admin", "--concurrency", 2, *flags)
    server.wait_until_serving()
    last = swaps + 1
    with Client(server.address) as client, Load(server.address).running() as load:
        for version in range(2, last + 1):
            repository.add(version)
            load.swap(client.admin.reload, version)
            eventually(lambda version=version: load.seen(version))
            if version > 2:
                repository.delete("colors", version - 2)
                repository.delete("masks", version - 2)
        serving = [status for status in client.versions().versions if status.state == "serving"]
    assert {(status.name, status.version) for status in serving} == {("colors", last), ("masks", last)}
    for kind, counts in load.answers.items():
        assert set(counts) == set(range(1, last + 1)), kind
    server.end()
    assert "Traceback" not in "".join(server.log)


def test_no_request_fails_while_a_label_goes_to_and_fro(
    spawn_server: Callable[..., Any], repository: Repository, eventually: Callable[..., None]
) -> None:
    repository.add(2)
    server = spawn_server("--models", repository.root, "--admin", "--versions", "all", "--concurrency", 2)
    server.wait_until_serving()
    with Client(server.address) as client:
        for name in ("colors", "masks"):
            client.admin.set_label(name, "stable", 1)
        load = Load(server.address, newest=2)
        with load.running():
            for number in range(SWAPS):
                for name in ("colors", "masks"):
                    client.admin.set_label(name, "stable", 2 - number % 2)
            eventually(lambda: load.seen(1) and load.seen(2))
