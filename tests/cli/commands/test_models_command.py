"""`spyglass models`, against a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spyglass_cli.main import main
from spyglass_client import Client
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings


@pytest.fixture
def profiled(
    make_model: Callable[[], Path], eventually: Callable[[Callable[[], bool]], None]
) -> Iterator[str]:
    """HOST:PORT of a server of the model `colors` that has measured it."""
    models = make_model().parents[2]
    started = Server(
        ServerSettings(host="127.0.0.1", port=0, models=models, concurrency=1, profile_seconds=0.05)
    )
    started.start()
    address = f"127.0.0.1:{started.port}"
    with Client(address) as client:
        eventually(lambda: client.model("colors").served.profile is not None)
    yield address
    started.stop(grace=0)


def test_the_models_are_listed_as_a_table(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--server", server]) == 0
    printed = capsys.readouterr().out
    assert "colors:1" in printed
    assert "CPUExecutionProvider" in printed


def test_the_models_are_listed_as_json(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--format", "json", "--server", server]) == 0
    (model,) = json.loads(capsys.readouterr().out)
    assert (model["name"], model["version"], model["task"], model["class_count"]) == (
        "colors",
        1,
        "classify",
        3,
    )
    assert model["is_default"]


def test_a_model_is_shown_as_a_table(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "colors:1", "--server", server]) == 0
    printed = capsys.readouterr().out
    assert "Tells red, green and blue apart." in printed
    assert "3: red, green, blue" in printed
    assert "8 x 8 pixels" in printed


def test_a_model_is_shown_as_json(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "colors", "--format", "json", "--server", server]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["card"]["class_names"] == ["red", "green", "blue"]
    assert shown["served"]["name"] == "colors"


def test_the_layer_and_the_method_of_a_models_heatmaps_are_shown(
    explaining_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "colors", "--server", explaining_server]) == 0
    assert "floats (gradcam)" in capsys.readouterr().out


def test_the_kind_of_a_models_scores_is_shown(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "colors", "--server", server]) == 0
    assert "exclude each other (softmax)" in capsys.readouterr().out


def test_the_profile_of_a_model_is_shown_as_a_table(
    profiled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "colors", "--server", profiled]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"profile +[\d.e-]+ ms an image; busy: batches to \d+; a lone request: threads to 1", printed
    )
    assert re.search(r"batch +threads +at once +milliseconds +images per second", printed)
    assert re.search(r"^ +1 +1 +1 +[\d.]+ +[\d.]+ *$", printed, re.MULTILINE)


def test_the_profile_of_a_model_is_shown_as_json(profiled: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "colors", "--format", "json", "--server", profiled]) == 0
    profile = json.loads(capsys.readouterr().out)["served"]["profile"]
    assert profile["wide_threads"] == 1
    assert profile["runs"][0]["seconds"] == profile["image_seconds"]


def test_a_model_that_is_not_measured_is_shown_as_such(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "colors", "--server", server]) == 0
    assert re.search(r"profile +not measured yet", capsys.readouterr().out)


def test_a_model_that_is_not_served_is_an_error_in_one_line(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "shapes", "--server", server]) == 1
    assert capsys.readouterr().err == (
        "spyglass models: the server has no model 'shapes'; it serves colors\n"
    )


def test_the_environment_names_the_server(
    server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_SERVER", server)
    assert main(["models", "list"]) == 0
    assert "colors:1" in capsys.readouterr().out
