"""What every test may use; the larger part is in plugins beside this file, each about one thing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Each after those that it imports.
pytest_plugins = [
    "plain_images",
    "hostile_images",
    "tiny_classifier",
    "explaining_classifiers",
    "tiny_segmentation",
    "server_process",
]

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository_root() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def bundled_file() -> Callable[[str], Path]:
    """The ONNX file of the bundled model of that name, in the one version that it has."""

    def find(name: str) -> Path:
        (path,) = REPOSITORY.glob(f"models/{name}/*/model.onnx")
        return path

    return find


@pytest.fixture(scope="session")
def chelsea() -> bytes:
    """A JPEG of a cat, 451 × 300."""
    return (REPOSITORY / "examples/chelsea.jpg").read_bytes()


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until `condition()` holds, and fails where it does not within half a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.002)

    return wait
