"""`spyglass adopt --dry-run`: the feature maps of a classifier, without a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper


@pytest.fixture
def theirs(classifier: Any, tmp_path: Path) -> Path:
    path: Path = classifier().write(tmp_path / "theirs.onnx")
    return path


def test_a_dry_run_lists_the_maps_and_writes_nothing(
    theirs: Path, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach(theirs, "--dry-run") == 0
    assert not (tmp_path / "models").exists()
    shown = capsys.readouterr()
    (row,) = [line for line in shown.out.splitlines() if "explained" in line]
    assert "features" in row and "6 × 8" in row and "GlobalAveragePool" in row
    assert shown.err == ""


def test_a_dry_run_prints_json(
    theirs: Path, attach: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach(theirs, "--dry-run", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    (chosen,) = [each for each in found["maps"] if each["chosen"]]
    assert (chosen["tensor"], chosen["height"], chosen["width"], chosen["channels"]) == ("features", 6, 8, 4)
    assert chosen["without_rule"] == [] and found["problem"] == ""


def test_a_dry_run_tells_why_there_is_no_map(
    theirs: Path, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach(theirs, "--dry-run", "--feature-map", "mean") == 0
    shown = capsys.readouterr()
    assert "explained" not in shown.out
    assert "must hold numbers for several heights and widths" in shown.err


def test_a_dry_run_is_for_heatmaps(
    theirs: Path, attach: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach(theirs, "--dry-run", "--no-heatmap") == 2
    assert "leave out --no-heatmap" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_evidence_around_a_named_map_is_printed(
    flags: tuple[str, ...], theirs: Path, attach: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(theirs)
    pooling = next(node for node in model.graph.node if "features" in node.input)
    pooling.input[0] = "total"
    position = list(model.graph.node).index(pooling)
    model.graph.node.insert(position, helper.make_node("Add", ["features", "bent"], ["total"]))
    model.graph.node.insert(position, helper.make_node("Tanh", ["features"], ["bent"]))
    onnx.save(model, theirs)
    assert attach(theirs, "--feature-map", "bent", *flags) == 0
    assert "a part of the evidence goes around 'bent'" in capsys.readouterr().err


def test_the_error_for_a_tensor_that_is_no_map_names_a_map_and_the_flags(
    theirs: Path, attach: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach(theirs, "--feature-map", "mean") == 1
    message = capsys.readouterr().err
    assert "'mean' has the shape [?, 4]" in message
    assert "; choose, for example, --feature-map features, or make a model without heatmaps" in message
