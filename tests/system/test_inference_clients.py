"""Clients of others for the Open Inference Protocol, unchanged, against a server process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spyglass_cli.main import main

PATIENCE = 120

pytestmark = pytest.mark.slow
needs_tritonclient = pytest.mark.skipif(
    not importlib.util.find_spec("tritonclient"), reason="needs tritonclient"
)


@pytest.fixture(scope="module")
def serving(spawn_server: Callable[..., Any], repository_root: Path) -> str:
    """The address of a server with the bundled models."""
    server = spawn_server("--models", repository_root / "models")
    server.wait_until_serving()
    return str(server.address)


@pytest.fixture
def run(repository_root: Path) -> Callable[..., str]:
    """Run a case of `triton_calls.py` against an address, and return what it prints."""

    def start(case: str, address: str = "", script: str = "triton_calls.py", given: str = "") -> str:
        photo = repository_root / "examples/chelsea.jpg"
        ended = subprocess.run(
            [sys.executable, Path(__file__).with_name(script), *filter(None, [case]), address, photo],
            capture_output=True,
            input=given,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return start


# The first one checks the statistics of a new server.
@needs_tritonclient
@pytest.mark.parametrize("case", ["blocking", "streaming", "asynchronous", "together"])
def test_the_client_works_unchanged(run: Callable[..., str], serving: str, case: str) -> None:
    run(case, serving)


def test_messages_of_kserve_work_unchanged(run: Callable[..., str], serving: str) -> None:
    run("", serving, "kserve_calls.py")


@needs_tritonclient
def test_an_operator_unloads_and_loads_models(
    run: Callable[..., str], spawn_server: Callable[..., Any], repository_root: Path
) -> None:
    server = spawn_server("--models", repository_root / "models", "--admin", "true")
    server.wait_until_serving()
    run("operating", server.address)


@needs_tritonclient
def test_the_client_sends_a_token(
    run: Callable[..., str],
    spawn_server: Callable[..., Any],
    repository_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens = tmp_path / "tokens.jsonl"
    assert (
        main(["token", "new", "--name", "t", "--scope", "classify", "--scope", "model:*", str(tokens)]) == 0
    )
    token = capsys.readouterr().out
    server = spawn_server("--models", repository_root / "models", "--tokens", tokens)
    server.wait_until_serving()
    run("authorised", server.address, given=token)


@needs_tritonclient
def test_the_messages_have_the_fields_and_numbers_of_the_client(run: Callable[..., str]) -> None:
    from spyglass.inference import v2_pb2

    theirs = set(run("messages").splitlines())
    ours: set[str] = set()

    def add(message: Any) -> None:
        for field in message.fields:
            ours.add(f"{message.full_name} {field.name} {field.number} {field.type} {field.is_repeated}")
        for nested in message.nested_types:
            add(nested)

    for message in v2_pb2.DESCRIPTOR.message_types_by_name.values():
        add(message)
    for enum in v2_pb2.DESCRIPTOR.enum_types_by_name.values():
        ours |= {f"{enum.full_name} {value.name} {value.number}" for value in enum.values}
    (service,) = v2_pb2.DESCRIPTOR.services_by_name.values()
    calls = {
        f"{service.full_name} {method.name} {method.client_streaming} {method.server_streaming}"
        for method in service.methods
    }
    assert len(ours) > 150
    assert ours - theirs == set()
    assert calls == {line for line in theirs if line.startswith(service.full_name)}


@needs_tritonclient
def test_the_page_lists_every_class_and_method_of_the_client(
    run: Callable[..., str], repository_root: Path
) -> None:
    page = (repository_root / "docs/protocols.md").read_text()
    assert [name for name in run("methods").splitlines() if f"`{name}" not in page] == []
