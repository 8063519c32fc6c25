"""`--class 2` if class names are numbers: a name, an index, or an error with both readings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from explaining_classifiers import add_heatmap
from spyglass_cli import main as spyglass
from spyglass_contract.errors import InvalidInput
from spyglass_contract.images.geometry import RESIZE_RULES
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings
from tiny_classifier import tiny_card, write_tiny_model
from tiny_segmentation import segmentation_card, write_segmentation_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def numbered_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`from-one` and `from-zero` are classifiers, `masks` a segmentation model; their classes are numbers."""
    root = tmp_path_factory.mktemp("numbered-models")
    for name, class_names in (("from-one", "123"), ("from-zero", "012"), ("tens", ("10", "20", "30"))):
        card = tiny_card(name)
        card.class_names[:] = class_names
        add_heatmap(write_tiny_model(root, card))
    masks = segmentation_card("masks", next(iter(RESIZE_RULES)))
    masks.class_names[:] = "1234"
    write_segmentation_model(root, masks)
    return root


@pytest.fixture(scope="module")
def numbered_server(numbered_models: Path) -> Iterator[str]:
    settings = ServerSettings(
        profile_seconds=0,
        host="127.0.0.1",
        port=0,
        models=numbered_models,
        default_model=["from-one", "masks"],
    )
    server = Server(settings)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(grace=0)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], numbered_server: str, folder: Path) -> Run:
    Image.new("RGB", (20, 10), (255, 0, 0)).save("red.png")

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        try:
            code = spyglass.main([command, "red.png", *arguments, "--server", numbered_server])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return (code, *capsys.readouterr())

    return run


def explained(output: str) -> list[Any]:
    (result,) = json.loads(output)
    return [(each["target"]["name"], each["target"]["index"]) for each in result["heatmaps"]]


def test_a_number_that_is_a_name_and_the_index_of_another_class_is_refused_with_both_readings(
    run: Run,
) -> None:
    code, output, errors = run("explain", "--class", "2")
    assert (code, output) == (2, "")
    assert "the class named '2', whose index is 1" in errors
    assert "the class with the index 2, named '3'" in errors
    assert errors.count("\n") == 1


def test_class_index_is_always_an_index(run: Run) -> None:
    code, output, _ = run("explain", "--class-index", "2", "--class-index", "0", "--format", "json")
    assert (code, explained(output)) == (0, [("3", 2), ("1", 0)])


def test_a_number_that_is_a_name_but_not_an_index_is_the_name(run: Run) -> None:
    code, output, _ = run("explain", "--class", "3", "--format", "json")
    assert (code, explained(output)) == (0, [("3", 2)])


def test_a_number_that_is_not_a_name_is_an_index(run: Run) -> None:
    code, output, _ = run("explain", "--class", "0", "--model", "tens", "--class", "20", "--format", "json")
    assert (code, explained(output)) == (0, [("10", 0), ("20", 1)])


def test_a_name_that_equals_its_own_index_is_accepted(run: Run) -> None:
    code, output, _ = run("explain", "--class", "2", "--model", "from-zero", "--format", "json")
    assert (code, explained(output)) == (0, [("2", 2)])


def test_a_number_that_is_neither_fails(run: Run) -> None:
    code, _, errors = run("explain", "--class", "11")
    assert code == 1 and "no class 11; its 3 classes are numbered 0 to 2" in errors
    code, _, errors = run("explain", "--class", "9" * 5000)
    assert code == 1 and "has no class" in errors


@pytest.mark.parametrize("flags", [["--kind", "cutout"], ["--largest"], ["--kind", "cutout", "--soft"]])
def test_segment_reads_classes_in_the_same_way(run: Run, flags: list[str]) -> None:
    code, _, errors = run("segment", *flags, "--class", "2")
    assert code == 2 and "two readings" in errors
    assert run("segment", *flags, "--class-index", "1")[0] == 0
    assert run("segment", *flags, "--class", "4")[0] == 0
    code, _, errors = run("segment", *flags, "--class-index", "1", "--class", "4")
    assert code == 2 and "not allowed with" in errors


def test_without_a_number_the_model_is_not_looked_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InvalidInput("the model was looked up")

    for method in ("models", "model"):
        monkeypatch.setattr(f"spyglass_client.Client.{method}", refuse)
    assert run("explain", "--class-index", "1")[0] == 0
    assert run("explain", "--class", "2", "--model", "from-one")[0] == 2


def test_without_a_server_a_number_is_read_in_the_same_way(
    numbered_models: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spyglass_server.engine.models.bundled.bundled_models", lambda: numbered_models)
    Image.new("RGB", (20, 10), (255, 0, 0)).save("red.png")
    assert spyglass.main(["explain", "red.png", "--class", "2", "--model", "from-one"]) == 2
    assert "two readings" in capsys.readouterr().err
    assert spyglass.main(["segment", "red.png", "--largest", "--class", "2"]) == 2
    assert "two readings" in capsys.readouterr().err
