"""Changes of the models of a server with several worker processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import spyglass_client as sc
from supervised import Supervised, wait_for
from tiny_classifier import tiny_card, write_tiny_model

pytestmark = pytest.mark.slow

CONNECTIONS = 16


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with the versions 1 and 2 of `colors`."""
    for version in (1, 2):
        write_tiny_model(tmp_path / "models", tiny_card(version=version))
    return tmp_path / "models"


@pytest.fixture
def supervised(supervise: Callable[..., Supervised], models: Path) -> Supervised:
    """Two workers, of which each serves version 1."""
    made = supervise("--models", models, "--versions", "colors:1", "--admin")
    made.wait_until_all_serve()
    return made


@pytest.fixture
def image(color_image: Callable[..., bytes]) -> bytes:
    encoded: bytes = color_image("red")
    return encoded


def admin_client(supervised: Supervised) -> sc.Client:
    return sc.Client(supervised.address, retry=sc.Retry(attempts=1))


def served(supervised: Supervised, image: bytes, model: str = "colors") -> list[str]:
    """The versions, or errors, that new connections get: of all workers, but for a chance of 1 in 30,000."""

    def ask(_: int) -> str:
        with sc.Client(supervised.address) as client:
            try:
                return str(client.classify(image, model=model).model.version)
            except sc.SpyglassError as error:
                return error.reason

    with ThreadPoolExecutor(4) as threads:
        return sorted(set(threads.map(ask, range(CONNECTIONS))))


def test_a_load_takes_effect_in_all_workers(supervised: Supervised, image: bytes) -> None:
    assert served(supervised, image, "colors:2") != ["2"]

    with admin_client(supervised) as client:
        status = client.admin.load("colors:2")

    assert (status.version, status.state) == (2, "serving")
    assert served(supervised, image, "colors:2") == ["2"]
    assert served(supervised, image) == ["2"]


def test_labels_and_their_rollback_take_effect_in_all_workers(supervised: Supervised, image: bytes) -> None:
    with admin_client(supervised) as client:
        client.admin.set_label("colors", "stable", 1)
        # Loads it first.
        client.admin.set_label("colors", "stable", 2)
        assert served(supervised, image) == ["2"]
        client.admin.rollback("colors")
        assert served(supervised, image) == ["1"]


def test_a_rollback_takes_effect_within_a_second(supervised: Supervised) -> None:
    seconds = []
    with admin_client(supervised) as client:
        client.admin.set_label("colors", "stable", 1)
        for _ in range(3):
            client.admin.set_label("colors", "stable", 2)
            started = time.monotonic()
            client.admin.rollback("colors")
            seconds.append(time.monotonic() - started)

    # This machine may have other work.
    assert min(seconds) < 1


def test_an_unload_takes_effect_in_all_workers(supervised: Supervised, image: bytes) -> None:
    with admin_client(supervised) as client:
        client.admin.load("colors:2")

        client.admin.unload("colors:2")

        assert served(supervised, image) == ["1"]
        wait_for(lambda: [each.version for each in client.admin.versions().versions] == [1])


def test_a_reload_finds_new_versions_in_all_workers(
    supervise: Callable[..., Supervised], models: Path, image: bytes
) -> None:
    supervised = supervise("--models", models, "--admin", workers=3)
    supervised.wait_until_all_serve()
    write_tiny_model(models, tiny_card(version=3))

    with admin_client(supervised) as client:
        states = client.admin.reload()

    assert ("colors", 3, "serving") in [(each.name, each.version, each.state) for each in states]
    assert served(supervised, image) == ["3"]


def test_a_worker_that_replaces_another_one_has_its_models(supervised: Supervised, image: bytes) -> None:
    with admin_client(supervised) as client:
        client.admin.load("colors:2")
        client.admin.set_label("colors", "stable", 1)
        client.admin.set_traffic("colors", "stable", 2, 100)
    assert served(supervised, image) == ["2"]

    for number in (1, 2):
        supervised.kill(number)
        wait_for(lambda: supervised.page("readyz")[1].startswith("ok: 1 "))
        supervised.wait_until_all_serve()

    assert served(supervised, image) == ["2"]
    assert served(supervised, image, "colors:2") == ["2"]
    assert served(supervised, image, "colors:1") == ["1"]


def test_what_one_worker_refuses_the_others_do_not_try(supervised: Supervised, models: Path) -> None:
    folder = models / "colors/3"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"no model")

    with admin_client(supervised) as client:
        with pytest.raises(sc.FailedPrecondition, match=r"colors/3: the file is no ONNX model"):
            client.admin.load("colors:3")
        states = {each.version: each for each in client.admin.versions().versions}

    assert states[1].state == "serving"
    assert states[3].state == "failed"
    assert sum("the file is no ONNX model" in line for line in supervised.process.log) == 1


def test_changes_at_once_leave_all_workers_alike(supervised: Supervised, image: bytes) -> None:
    def change(number: int) -> str:
        with admin_client(supervised) as client:
            try:
                if number % 4 == 3:
                    client.admin.rollback("colors")
                else:
                    client.admin.set_label("colors", "stable", 1 + number % 2)
            # A rollback to a version that the label never had.
            except (sc.FailedPrecondition, sc.NotFound) as error:
                return error.reason
        return "OK"

    with ThreadPoolExecutor(8) as threads:
        outcomes = set(threads.map(change, range(24)))

    assert outcomes <= {"OK", "NO_EARLIER_VERSION", "LABEL_NOT_FOUND"}
    assert len(served(supervised, image)) == 1


def test_the_versions_of_all_workers_are_listed_once(supervised: Supervised) -> None:
    with admin_client(supervised) as client:
        client.admin.set_label("colors", "stable", 2)
        found = client.admin.versions()

    assert [(each.version, each.state, each.message) for each in found.versions] == [
        (1, "serving", ""),
        (2, "serving", ""),
    ]
    assert supervised.metrics()["spyglass_model_label"] == {
        frozenset({("model", "colors"), ("label", "stable")}): 2
    }


def test_calls_of_admin_are_off_unless_set(supervise: Callable[..., Supervised], models: Path) -> None:
    supervised = supervise("--models", models)
    supervised.wait_until_all_serve()

    with admin_client(supervised) as client, pytest.raises(sc.Unimplemented):
        client.admin.load("colors:1")
