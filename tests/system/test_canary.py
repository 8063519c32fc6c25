"""Traffic shares and rollbacks of a real server process under load."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from changing_models import Load, Repository, check_classified, red_image
from spyglass_client import Client, Failure

pytestmark = pytest.mark.slow

CALLS = 10_000


@pytest.fixture
def address(spawn_server: Callable[..., Any], repository: Repository) -> str:
    """HOST:PORT of a server with versions 1 and 2."""
    repository.add(2)
    server = spawn_server("--models", repository.root, "--admin", "--versions", "all", "--concurrency", 2)
    server.wait_until_serving()
    return str(server.address)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """A client of the server with `stable` at version 1 and `canary` at version 2."""
    with Client(address) as made:
        for label, version in (("stable", 1), ("canary", 2)):
            made.admin.set_label("colors", label, version)
        yield made


def of_ids(client: Client, ids: list[str]) -> dict[str, int]:
    """Return the version that answers each of the ids."""
    image = red_image()

    def ask(id: str) -> int:
        return check_classified(client.classify(image, model="colors", id=id))

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(ids, threads.map(ask, ids), strict=True))


def test_a_canary_gets_its_share_of_the_requests_and_keeps_the_same_ones(client: Client) -> None:
    client.admin.set_traffic("colors", "stable", "canary", 10)
    ids = [f"image-{number}" for number in range(CALLS)]
    answered = of_ids(client, ids)
    counts = Counter(answered.values())
    assert set(counts) == {1, 2} and 0.09 * CALLS <= counts[2] <= 0.11 * CALLS

    assert of_ids(client, ids[:1000]) == {id: answered[id] for id in ids[:1000]}
    client.admin.set_traffic("colors", "stable", "canary", 30)
    grown = of_ids(client, ids[:1000])
    assert {id for id in grown if answered[id] == 2} <= {id for id in grown if grown[id] == 2}


def test_requests_without_an_id_are_shared_by_chance(client: Client) -> None:
    client.admin.set_traffic("colors", "stable", "canary", 10)
    results = client.classify_many([red_image()] * CALLS, model="colors")
    counts = Counter(0 if isinstance(result, Failure) else check_classified(result) for result in results)
    # Five standard deviations.
    assert set(counts) == {1, 2} and abs(counts[2] / CALLS - 0.1) < 0.015


def test_a_caller_stays_with_one_version(client: Client) -> None:
    client.admin.set_traffic("colors", "stable", "canary", 50, sticky="caller")
    assert len(set(of_ids(client, [f"image-{number}" for number in range(200)]).values())) == 1


def test_requests_that_name_a_version_or_another_label_are_not_shared(client: Client) -> None:
    client.admin.set_traffic("colors", "stable", "canary", 100)
    image = red_image()
    versions = {
        model: check_classified(client.classify(image, model=model))
        for model in ("colors", "colors@stable", "colors:1", "colors@canary")
    }
    assert versions == {"colors": 2, "colors@stable": 2, "colors:1": 1, "colors@canary": 2}


def test_a_rollback_takes_effect_in_less_than_a_second_under_load(
    client: Client, address: str, eventually: Callable[..., None]
) -> None:
    seconds = []
    for _ in range(5):
        client.admin.set_label("colors", "stable", 2)
        load = Load(address, newest=2, kinds=("classify", "heatmap", "stream"))
        with load.running():
            eventually(partial(load.seen, 2))
            started = time.monotonic()
            client.admin.rollback("colors")
            seconds.append(time.monotonic() - started)
            # From now on no request may get version 2.
            load.newest = 1
            eventually(partial(load.seen, 1))
    assert max(seconds) < 1, seconds
