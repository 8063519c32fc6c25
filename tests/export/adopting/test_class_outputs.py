"""Outputs of other tools: maps from class to score, best classes only, and inner tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plain_softmax import softmax

Array = np.ndarray[Any, Any]


def zip_mapped(file: Path, *, labels: bool) -> Path:
    """Make the output a sequence of maps from class to score; `labels` adds the best class as another."""
    model = onnx.load(file)
    classes = ["cat", "dog", "bird"]
    model.graph.node.append(
        helper.make_node("ZipMap", ["y"], ["loss"], domain="ai.onnx.ml", classlabels_strings=classes)
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    del model.graph.output[:]
    of_class = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    if labels:
        model.graph.node.extend(
            [
                helper.make_node("ArgMax", ["y"], ["best"], axis=1, keepdims=0),
                helper.make_node(
                    "LabelEncoder",
                    ["best"],
                    ["classLabel"],
                    domain="ai.onnx.ml",
                    keys_int64s=[0, 1, 2],
                    values_strings=classes,
                ),
            ]
        )
        model.graph.output.append(helper.make_tensor_value_info("classLabel", TensorProto.STRING, ["n"]))
    model.graph.output.append(helper.make_value_info("loss", helper.make_sequence_type_proto(of_class)))
    onnx.save(model, file)
    return file


@pytest.mark.parametrize("scores", [(), ("--scores", "loss"), ("--scores", "y")])
@pytest.mark.parametrize("labels", [True, False])
def test_the_scores_behind_a_map_are_used(
    classifier: Any,
    labels: bool,
    scores: tuple[str, ...],
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    file = zip_mapped(theirs.write(tmp_path / "theirs.onnx", ending="Softmax"), labels=labels)
    assert attach(file, "--scale", "1/255", *scores) == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)
    model = onnx.load(tmp_path / "models/theirs/1/model.onnx")
    assert not {"ZipMap", "LabelEncoder"}.intersection(node.op_type for node in model.graph.node)


def test_class_names_in_another_order_than_in_the_file_are_rejected(
    classifier: Any,
    attach: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = zip_mapped(classifier().write(tmp_path / "theirs.onnx", ending="Softmax"), labels=False)
    assert attach(file, "--scale", "1/255", classes="dog\ncat\nbird") == 2
    assert "in the file class 0 is 'cat', not 'dog'" in capsys.readouterr().err
    assert attach(file, "--scale", "1/255", classes="Katze\nHund\nVogel") == 0
    assert "in the file: cat, dog, bird" in capsys.readouterr().err
    assert attach(file, "--scale", "1/255", "--force") == 0
    assert "in the file" not in capsys.readouterr().err


def test_strings_are_no_scores(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = zip_mapped(classifier().write(tmp_path / "theirs.onnx", ending="Softmax"), labels=True)
    assert attach(file, "--scores", "classLabel") == 1
    assert "'classLabel' (LabelEncoder) does not hold one score for each class: it is 1 of string" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(("operator", "outputs"), [("TopK", 2), ("ArgMax", 1)])
def test_the_best_classes_alone_are_rejected_with_the_tensor_to_name(
    classifier: Any,
    operator: str,
    outputs: int,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    names = ["values", "indices"] if outputs == 2 else ["indices"]
    inputs = ["y", "two"] if outputs == 2 else ["y"]
    model.graph.node.append(helper.make_node(operator, inputs, names))
    model.graph.initializer.append(helper.make_tensor("two", TensorProto.INT64, [1], [2]))
    del model.graph.output[:]
    for name in names:
        kind = TensorProto.FLOAT if name == "values" else TensorProto.INT64
        model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 1
    message = capsys.readouterr().err
    assert f"({operator}) does not hold one score for each class" in message and "--scores 'y'" in message
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255", "--scores", "y") == 0
    _, pixels, found, _ = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)


def test_an_unknown_tensor_is_reported_with_similar_ones(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx", ending="Softmax")
    assert attach(file, "--scores", "logit") == 1
    assert "has no output 'logit'; its outputs are y; similar tensors are logits" in capsys.readouterr().err
