"""The export of a run gives one complete file, or an error and no file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

import keras
import onnx
import onnxruntime as ort
import tensorflow

from spyglass_contract.errors import CardError, CertificateError, ModelError
from spyglass_contract.model.card import read_card
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, golden_tensor, verify
from spyglass_contract.model.run_folder import RunFolder
from spyglass_export.converting.convert import convert
from spyglass_export.converting.tidy import tidy
from spyglass_export.draft import draft_card, name_and_version
from spyglass_export.export import export_run
from spyglass_export.heatmap import HeatmapOptions
from spyglass_export.proving.certify import certify
from spyglass_export.session_options import session_options
from spyglass_export.write import write_proven

pytestmark = pytest.mark.training

MakeRun = Callable[..., RunFolder]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models/colors/3"


@keras.saving.register_keras_serializable("tests")
class Fickle(keras.layers.Layer):
    """Returns another result each time that Python runs it, so no certificate can hold."""

    calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x * float(self.calls)


@keras.saving.register_keras_serializable("tests")
class Digamma(keras.layers.Layer):
    """An operation that ONNX lacks."""

    def call(self, x: Any) -> Any:
        return tensorflow.math.digamma(x + 1.0)


def open_session(target: Path) -> ort.InferenceSession:
    return ort.InferenceSession(
        str(target / "model.onnx"), session_options(), providers=["CPUExecutionProvider"]
    )


def test_the_file_declares_its_input_output_card_and_certificate(make_run: MakeRun, target: Path) -> None:
    run = make_run(keras.layers.Conv2D(8, 3, padding="same", activation="relu"))
    export_run(run, target)
    session = open_session(target)
    (image,), (probabilities, heatmap) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["batch", 12, 16, 3])
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert probabilities.shape == ["batch", 3]
    assert (heatmap.name, heatmap.type) == ("heatmap", "tensor(float)")
    card = read_card(session)
    assert (card.name, card.version) == ("colors", 3)
    assert list(card.class_names) == ["red", "green", "blue"]
    assert card.provenance.source_sha256 == hashlib.sha256(run.model.read_bytes()).hexdigest()
    assert card.provenance.metrics["test_accuracy"] == 0.25
    assert len(card.certificate.tensors) == 16 and len(card.certificate.images) == 1
    assert card.certificate.reference == f"keras {keras.__version__}"
    found = verify(
        card, lambda pixels: session.run(["probabilities"], {"image": pixels})[0], EXPORT_TOLERANCE
    )
    assert found.max_abs_diff == pytest.approx(card.certificate.max_abs_diff, abs=1e-7)
    assert found.changed_pixels == ()


def test_the_file_returns_the_outputs_of_keras_alone_and_in_batches(make_run: MakeRun, target: Path) -> None:
    run = make_run(
        keras.layers.SeparableConv2D(8, 3, padding="same"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(2),
    )
    export_run(run, target)
    model, session = keras.models.load_model(run.model), open_session(target)
    pixels = np.concatenate([golden_tensor(seed, run.read_record().input) for seed in range(100, 105)])
    expected = np.asarray(model(pixels, training=False))
    np.testing.assert_allclose(session.run(None, {"image": pixels})[0], expected, atol=1e-5)
    np.testing.assert_allclose(session.run(None, {"image": pixels[2:3]})[0], expected[2:3], atol=1e-5)


def test_a_heatmap_is_left_out_only_on_request(make_run: MakeRun, target: Path) -> None:
    run = make_run(keras.layers.Conv2D(8, 3, padding="same", activation="relu"))
    assert "relu" in export_run(run, target).explained_layer.lower()
    assert export_run(run, target, heatmap=None, force=True).explained_layer == ""
    assert [output.name for output in open_session(target).get_outputs()] == ["probabilities"]


class TwoBranches(keras.layers.Layer):
    """Two convolutions side by side, each pooled for itself; then no single map has all of the evidence."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.one, self.other = (keras.layers.Conv2D(4, 3, activation="relu") for _ in range(2))

    def build(self, shape: Any) -> None:
        self.one.build(shape)
        self.other.build(shape)

    def call(self, x: Any) -> Any:
        means = [keras.ops.mean(branch(x), axis=(1, 2), keepdims=True) for branch in (self.one, self.other)]
        return keras.ops.concatenate(means, axis=-1)


keras.saving.register_keras_serializable("tests")(TwoBranches)


@pytest.mark.slow
def test_a_sum_of_several_maps_is_told(make_run: MakeRun, target: Path) -> None:
    told: list[str] = []
    card = export_run(make_run(TwoBranches()), target, notify=told.append)
    assert " + " in card.explained_layer
    assert len(told) == 1 and "the heatmap is the sum" in told[0]


def test_the_card_names_the_method_and_the_graph_has_its_outputs(make_run: MakeRun, target: Path) -> None:
    run = make_run(keras.layers.Conv2D(8, 3, padding="same", activation="relu"))
    assert export_run(run, target).heatmap_method == "gradcam"
    card = export_run(run, target, heatmap=HeatmapOptions(method="scorecam"), force=True)
    assert card.heatmap_method == "scorecam" and "relu" in card.explained_layer.lower()
    outputs = [output.name for output in open_session(target).get_outputs()]
    assert outputs == ["probabilities", "heatmap_features", "heatmap_scores"]


def test_layers_that_act_in_training_only_do_nothing_in_the_file(make_run: MakeRun, target: Path) -> None:
    layers = keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1), keras.layers.Dropout(0.5)
    run = make_run(*layers, keras.layers.Conv2D(4, 3))
    export_run(run, target)
    graph = onnx.load(str(target / "model.onnx")).graph
    assert not [node.op_type for node in graph.node if "Random" in node.op_type or node.op_type == "Dropout"]


def test_the_graph_has_no_unused_inputs_and_no_paths_of_the_machine(make_run: MakeRun, target: Path) -> None:
    scaling = keras.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
    run = make_run(scaling, keras.layers.Conv2D(4, 3))
    export_run(run, target)
    file = target / "model.onnx"
    model = onnx.load(str(file))
    assert [each.name for each in model.graph.input] == ["image", "class_index"]
    assert not any(node.doc_string for node in model.graph.node)
    assert [(each.domain, each.version) for each in model.opset_import if not each.domain] == [("", 17)]
    assert str(Path.home()).encode() not in file.read_bytes() and b".py" not in file.read_bytes()


def test_an_existing_version_is_kept_unless_forced(make_run: MakeRun, target: Path) -> None:
    run = make_run(keras.layers.Conv2D(4, 3))
    export_run(run, target)
    (target / "model.onnx").write_bytes(b"precious")
    with pytest.raises(ModelError, match="--force"):
        export_run(run, target)
    assert (target / "model.onnx").read_bytes() == b"precious"
    export_run(run, target, force=True)
    assert read_card(open_session(target)).name == "colors"


@pytest.mark.parametrize(
    ("layer", "message"),
    [(Fickle, "differ"), (Digamma, "Digamma.*not supported")],
    ids=["outputs that change", "an operation that ONNX lacks"],
)
def test_a_network_that_cannot_be_certified_leaves_no_file_and_no_folder(
    make_run: MakeRun, target: Path, tmp_path: Path, layer: type[keras.layers.Layer], message: str
) -> None:
    run = make_run(keras.layers.Conv2D(4, 3), layer())
    with pytest.raises(ModelError, match=message):
        export_run(run, target)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("of", ["tensors", "images"])
def test_a_wrong_golden_output_leaves_no_file_and_keeps_an_older_one(
    make_run: MakeRun, target: Path, of: str
) -> None:
    run = make_run()
    card = draft_card(run, target)
    model = keras.models.load_model(run.model)
    graph = convert(model, card)
    tidy(graph, card)
    certify(card, run.read_golden(), lambda pixels: np.asarray(model(pixels)), reference_name="keras")
    getattr(card.certificate, of)[0].expected[1] += 2e-5
    target.mkdir(parents=True)
    (target / "model.onnx").write_bytes(b"the older one")
    with pytest.raises(CertificateError, match="more than 1e-05"):
        write_proven(graph, card, target / "model.onnx")
    assert [path.name for path in target.iterdir()] == ["model.onnx"]
    assert (target / "model.onnx").read_bytes() == b"the older one"


def test_a_run_whose_classes_do_not_fit_the_network_is_rejected(make_run: MakeRun, target: Path) -> None:
    with pytest.raises(ModelError, match=r"to \(None, 2\), not from .* to \(None, 3\)"):
        export_run(make_run(class_names=("cat", "dog")), target)
    assert not target.exists()


def test_a_folder_that_is_not_a_run_is_rejected(tmp_path: Path, make_run: MakeRun, target: Path) -> None:
    with pytest.raises(ModelError, match="no training run"):
        export_run(RunFolder(tmp_path), target)
    run = make_run()
    run.model.write_bytes(b"no network")
    with pytest.raises(ModelError, match="not a Keras model"):
        export_run(run, target)
    run.record.write_text('{"architecture": "half a record"}')
    with pytest.raises(ModelError, match="not the record of a run"):
        export_run(run, target)


@pytest.mark.parametrize("path", ["models/digits", "models/digits/0", "models/digits/01", "models/digits/v1"])
def test_a_target_without_a_version_is_rejected(path: str) -> None:
    with pytest.raises(ModelError, match="NAME/VERSION"):
        name_and_version(Path(path))


def test_a_target_with_an_invalid_model_name_is_rejected(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(CardError, match="My Model"):
        export_run(make_run(), tmp_path / "models/My Model/1")
