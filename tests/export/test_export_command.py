"""Heatmap flags of `spyglass export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

import keras
import numpy as np
import onnx
from PIL import Image

from spyglass.v1.model_pb2 import ModelCard
from spyglass_cli.main import main
from spyglass_contract.model.card import card_from_metadata
from spyglass_contract.model.run_folder import RunFolder

pytestmark = pytest.mark.training


@pytest.fixture
def export(make_run: Callable[..., RunFolder], tmp_path: Path) -> Callable[..., int]:
    """Export a run of two convolutions and return the exit code: `export(*flags)`."""
    run = make_run(
        keras.layers.Conv2D(8, 3, activation="relu", name="first"),
        keras.layers.Conv2D(8, 3, activation="relu", name="second"),
    )

    def command(*flags: str) -> int:
        return main(["export", str(run.path), "--out", str(tmp_path / "models/colors/1/model.onnx"), *flags])

    return command


def card_of(tmp_path: Path) -> ModelCard:
    model = onnx.load(tmp_path / "models/colors/1/model.onnx")
    return card_from_metadata({entry.key: entry.value for entry in model.metadata_props})


def test_the_feature_map_the_method_and_the_score_are_chosen_by_flags(
    export: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export() == 0
    plain = card_of(tmp_path)
    assert "second" in plain.explained_layer and plain.explained_score == "logit"
    node = plain.explained_layer.replace("second", "first").removesuffix(":0")
    flags = ("--feature-map", node, "--method", "layercam", "--probability-gradient")
    assert export(*flags, "--force") == 0
    card = card_of(tmp_path)
    assert "first" in card.explained_layer
    assert (card.heatmap_method, card.explained_score) == ("layercam", "probability")
    assert (
        f"heatmaps explain {card.explained_layer} (layercam, of the probability)" in capsys.readouterr().out
    )


def test_heatmap_flags_are_rejected_with_no_heatmap(
    export: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--no-heatmap", "--feature-map", "first") == 2
    assert "are for a heatmap" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_an_unknown_feature_map_is_reported_and_no_file_is_written(
    export: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--feature-map", "frist") == 1
    assert "'frist'" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with 60 images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def test_a_run_is_exported_with_a_baseline(
    export: Callable[..., int], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    int8 = ("--precision", "int8", "--calibration", str(images), "--least-agreement", "0.1")
    assert export("--baseline", str(images), *int8) == 0

    assert "a baseline of 60 images" in capsys.readouterr().out
    assert card_of(tmp_path).baseline.images == 60
    # It was made after the baseline, and not removed with it.
    assert (tmp_path / "models/colors/1/model.int8.onnx").exists()


def test_a_baseline_of_nothing_is_an_error_before_anything_is_written(
    export: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--baseline", str(tmp_path / "missing")) == 2
    assert "expected a folder with images" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_run_is_exported_in_int8_too(
    export: Callable[..., int], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("--precision", "int8", "--calibration", str(images), "--least-agreement", "0.1") == 0

    assert "kept classes: " in capsys.readouterr().out
    int8 = onnx.load(tmp_path / "models/colors/1/model.int8.onnx")
    card = card_from_metadata({entry.key: entry.value for entry in int8.metadata_props})
    assert card.reduced_precision.least_agreement == pytest.approx(0.1)
    assert card.provenance == card_of(tmp_path).provenance


def test_int8_needs_calibration_images(export: Callable[..., int], tmp_path: Path) -> None:
    assert export("--precision", "int8") == 2
    assert not (tmp_path / "models").exists()
