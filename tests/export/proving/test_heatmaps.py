"""A file with inconsistent heatmaps is not written, even if its probabilities are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.model.card import read_card
from spyglass_export.gradcam import HeatmapError
from spyglass_export.heatmap import HeatmapOptions, with_heatmap
from spyglass_export.proving.heatmaps import Examined, prove_heatmaps
from spyglass_export.proving.prove import prove
from spyglass_export.session import open_session
from spyglass_export.write import write_proven


@pytest.fixture
def card(make_card: Callable[..., ModelCard]) -> ModelCard:
    return make_card()


@pytest.fixture
def explained(make_model: Callable[..., Path], card: ModelCard) -> Callable[..., onnx.ModelProto]:
    """The tiny network with a heatmap of some method; `card` names the method."""
    plain = onnx.load(make_model())

    def make(method: Any = "gradcam") -> onnx.ModelProto:
        return with_heatmap(plain, card, HeatmapOptions("floats", method))

    return make


def spoiled(model: onnx.ModelProto, output: str, nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    """Insert `nodes` between the result of the heatmap's branch, renamed to `right`, and `output`."""
    branch = model.graph.node[-1]
    assert branch.op_type == "If"
    branch.output[list(branch.output).index(output)] = "right"
    model.graph.node.extend(nodes)
    for name, value in (("two", 2.0), ("zero", 0.0)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    for name, whole in (("first", 0), ("one", 1)):
        model.graph.initializer.append(helper.make_tensor(name, onnx.TensorProto.INT64, [1], [whole]))
    return model


def node(op_type: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), [output], **attributes)


# Each map is divided by the number of rows, so it depends on the other rows.
_BY_ROWS = [
    node("Shape", "right", "shape"),
    node("Gather", "shape first", "rows", axis=0),
    node("Cast", "rows", "count", to=onnx.TensorProto.FLOAT),
]
SPOILED = {
    "values": ([node("Mul", "right two", "heatmap")], r"outside of \[0, 1\]"),
    "NaN": ([node("Div", "right zero", "heatmap")], "is not finite"),
    "rows": ([node("Slice", "right first one", "heatmap")], "not 3 maps"),
    "company": ([*_BY_ROWS, node("Div", "right count", "heatmap")], "differs from"),
}


@pytest.mark.parametrize("wrong", SPOILED)
def test_inconsistent_heatmaps_leave_no_file(
    explained: Callable[..., onnx.ModelProto], card: ModelCard, tmp_path: Path, wrong: str
) -> None:
    nodes, message = SPOILED[wrong]
    model = spoiled(explained(), "heatmap", nodes)
    with pytest.raises(CertificateError, match=message):
        write_proven(model, card, tmp_path / "new/model.onnx")
    assert not (tmp_path / "new").exists()


def test_prove_checks_the_heatmaps_too(explained: Callable[..., onnx.ModelProto], card: ModelCard) -> None:
    good = explained()
    prove(open_session(good.SerializeToString()), card)
    broken = spoiled(good, "heatmap", SPOILED["values"][0])
    with pytest.raises(CertificateError, match=r"\[0, 1\]"):
        prove(open_session(broken.SerializeToString()), card)


def test_the_certificate_holds_the_number_of_checked_maps_and_of_zero_maps(
    explained: Callable[..., onnx.ModelProto], card: ModelCard, tmp_path: Path
) -> None:
    write_proven(explained(), card, tmp_path / "model.onnx")
    written = read_card(open_session(tmp_path / "model.onnx")).certificate
    # Each of three images has one colour, so its maps for the two other classes are zero.
    assert (written.heatmaps, written.zero_heatmaps) == (9, 6)


def test_without_golden_images_the_golden_tensors_are_checked(
    explained: Callable[..., onnx.ModelProto], card: ModelCard
) -> None:
    session = open_session(explained().SerializeToString())
    del card.certificate.images[:]
    assert prove_heatmaps(session, card) == Examined(maps=6, zero=0)


def test_a_file_without_a_heatmap_is_not_checked_for_one(
    make_model: Callable[..., Path], card: ModelCard
) -> None:
    assert prove_heatmaps(open_session(make_model()), card) == Examined(maps=0, zero=0)


def test_a_score_cam_file_has_its_feature_map_and_scores_checked(
    explained: Callable[..., onnx.ModelProto], card: ModelCard
) -> None:
    good = explained("scorecam")
    # Images of one colour have flat channels.
    assert prove_heatmaps(open_session(good.SerializeToString()), card) == Examined(maps=3, zero=3)
    negative = spoiled(good, "heatmap_scores", [node("Neg", "right", "heatmap_scores")])
    with pytest.raises(CertificateError, match=r"the best score of red\.png is of another class"):
        prove_heatmaps(open_session(negative.SerializeToString()), card)


def test_an_unknown_heatmap_method_is_rejected(
    explained: Callable[..., onnx.ModelProto], card: ModelCard
) -> None:
    session = open_session(explained().SerializeToString())
    card.heatmap_method = "smoothgrad"
    with pytest.raises(ModelError, match=r"must be one of gradcam, .*, not 'smoothgrad'"):
        prove_heatmaps(session, card)


@pytest.mark.parametrize("wrong", ["NaN", "company"])
def test_a_wrong_feature_map_is_rejected(
    explained: Callable[..., onnx.ModelProto], card: ModelCard, wrong: str
) -> None:
    *nodes, last = SPOILED[wrong][0]
    nodes.append(node(last.op_type, " ".join(last.input), "heatmap_features"))
    model = spoiled(explained("scorecam"), "heatmap_features", nodes)
    with pytest.raises(CertificateError):
        prove_heatmaps(open_session(model.SerializeToString()), card)


def test_heatmap_options_are_rejected_for_a_model_that_is_not_a_classifier(
    make_model: Callable[..., Path], card: ModelCard
) -> None:
    plain = onnx.load(make_model())
    card.task = TASK_SEGMENT
    assert with_heatmap(plain, card) is plain
    with pytest.raises(HeatmapError, match="only a classifier"):
        with_heatmap(plain, card, HeatmapOptions("floats"))


def test_the_card_names_the_score_that_is_explained(
    make_model: Callable[..., Path], make_card: Callable[..., ModelCard]
) -> None:
    plain = onnx.load(make_model())
    choices = {
        "logit": HeatmapOptions("floats"),
        "probability": HeatmapOptions("floats", gradient_of="probability"),
        "": HeatmapOptions("floats", "eigencam"),
    }
    for score, choice in choices.items():
        card = make_card()
        with_heatmap(plain, card, choice)
        assert card.explained_score == score


@pytest.mark.parametrize("name", ["imagenet", "mnist-convnet", "defects"])
def test_the_heatmaps_of_a_bundled_model_are_consistent(
    name: str, bundled_file: Callable[[str], Path]
) -> None:
    session = open_session(bundled_file(name))
    card = read_card(session)
    examined = prove_heatmaps(session, card)
    assert examined.maps == min(3, len(card.class_names)) * len(card.certificate.images)
    assert examined.zero < examined.maps / 2
