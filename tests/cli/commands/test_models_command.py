"""`spyglass models`, against a real server."""

from __future__ import annotations

import json

import pytest

from spyglass_cli.main import main


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
