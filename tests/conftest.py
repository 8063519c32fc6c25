"""Fixtures for every test. Most of them are in plugins beside this file, one for each subject."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Before any test imports ONNX Runtime, which else writes into the home folder and sends events.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Each plugin comes after the plugins that it imports.
pytest_plugins = [
    "http_callers",
    "plain_images",
    "hostile_images",
    "tiny_classifier",
    "explaining_classifiers",
    "tiny_segmentation",
    "changing_models",
    "quantisable",
    "server_process",
    "supervised",
    "otlp_receiver",
    "authorities",
    "documented_commands",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flags of the tests with random input."""
    parser.addoption("--fuzz-seconds", type=float, default=8.0, help="duration of each test in tests/fuzz")
    parser.addoption("--fuzz-seed", type=int, default=15, help="seed of the tests in tests/fuzz")


REPOSITORY = Path(__file__).resolve().parents[1]
# The modules of the benchmarks, which are scripts and not a package. At the end: the tests' own come first.
sys.path.append(str(REPOSITORY / "benchmarks"))


@pytest.fixture(scope="session")
def repository_root() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def bundled_file() -> Callable[[str], Path]:
    """Return the ONNX file of a bundled model by its name. Each bundled model has one version."""

    def find(name: str) -> Path:
        (path,) = REPOSITORY.glob(f"models/{name}/*/model.onnx")
        return path

    return find


@pytest.fixture(scope="session")
def chelsea() -> bytes:
    """A JPEG of a cat, 451 × 300 pixels."""
    return (REPOSITORY / "examples/chelsea.jpg").read_bytes()


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until `condition()` is true. Fail if it is not true after 30 seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "the condition was still false after 30 seconds"
            time.sleep(0.002)

    return wait
