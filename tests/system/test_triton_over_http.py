"""tritonclient over HTTP, unchanged, against a server process."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("tritonclient", "geventhttpclient"))),
        reason="needs tritonclient[http]",
    ),
]


@pytest.fixture(scope="module")
def serve(spawn_server: Callable[..., Any], repository_root: Path) -> Callable[..., str]:
    """Start a server with the bundled models, and return the address of its HTTP port."""

    def start(*flags: str) -> str:
        server = spawn_server("--models", repository_root / "models", "--http-port", "0", *flags)
        server.wait_until_serving()
        (port,) = re.findall(r"HTTP on port (\d+)", "".join(server.log))
        return f"localhost:{port}"

    return start


@pytest.fixture(scope="module")
def serving(serve: Callable[..., str]) -> str:
    return serve()


def run(case: str, address: str, repository_root: Path) -> str:
    script, photo = Path(__file__).with_name("triton_http_calls.py"), repository_root / "examples/chelsea.jpg"
    ended = subprocess.run(
        [sys.executable, script, case, address, photo],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


# The first one checks the statistics of a new server.
@pytest.mark.parametrize("case", ["blocking", "asynchronous"])
def test_the_client_works_unchanged(serving: str, repository_root: Path, case: str) -> None:
    run(case, serving, repository_root)


def test_an_operator_unloads_and_loads_models(serve: Callable[..., str], repository_root: Path) -> None:
    run("operating", serve("--admin", "true"), repository_root)


def test_the_page_lists_every_method_of_the_client(repository_root: Path) -> None:
    page = (repository_root / "docs/protocols.md").read_text()
    section = page[page.index("### tritonclient over HTTP") :]
    assert [name for name in run("methods", "", repository_root).split() if f"`{name}`" not in section] == []
