"""Models at a precision: int8 from the file beside, refused if anything about it is wrong."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx")

import onnx

from quantisable import colored_images, write_convolutions
from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CardError, CertificateError, ModelError
from spyglass_contract.model.card import card_from_metadata, write_card
from spyglass_contract.model.precisions import Tolerance
from spyglass_server.engine.capacity.processor_flags import processor_flags
from spyglass_server.engine.models import precision as module
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.gate import PrecisionError
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.session import Session

MakeModel = Callable[..., Path]
FP32 = Resources(device="cpu")
INT8 = Resources(device="cpu", precision="int8")
AUTO = Resources(device="cpu", precision="auto")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change_card(file: Path, change: Callable[[ModelCard], None]) -> None:
    model = onnx.load(file)
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    change(card)
    write_card(model, card)
    onnx.save(model, file)


def test_int8_answers_and_says_so(int8_model: MakeModel) -> None:
    file = int8_model()

    model = Model.load(file, INT8)
    assert model.served_by.precision == "int8"
    assert model.served_by.sha256 == sha256(file.with_name("model.int8.onnx"))
    assert model.card.reduced_precision.recipe
    pixels, labels = colored_images(20, seed=2)
    found = model.network.run(pixels)
    original = Model.load(file, FP32)
    expected = original.network.run(pixels)
    assert original.served_by.precision == "fp32"
    assert not original.card.HasField("reduced_precision")
    assert (found.argmax(axis=1) == labels).mean() > 0.9
    # Other numbers: the network in int8 ran, and not the original one.
    assert 0 < np.abs(found - expected).max() < 0.1


def test_heatmaps_are_those_of_the_original_network_and_say_so(int8_model: MakeModel) -> None:
    file = int8_model(heatmap=True)
    pixels, _ = colored_images(1, seed=2)

    model, plain = Model.load(file, INT8), Model.load(file, FP32)

    assert model.card.explained_layer == plain.card.explained_layer != ""
    found, expected = (each.network.explain(pixels, [0, 1]) for each in (model, plain))
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    assert not np.array_equal(model.network.run(pixels), plain.network.run(pixels))
    assert model.heatmaps_served_by == plain.heatmaps_served_by
    assert model.heatmaps_served_by.precision == "fp32"


def test_without_the_file_int8_is_refused(int8_model: MakeModel) -> None:
    file = int8_model()
    file.with_name("model.int8.onnx").unlink()

    with pytest.raises(PrecisionError, match=r"has no model.int8.onnx; `spyglass quantise`") as raised:
        Model.load(file, INT8)
    assert raised.value.reason == "PRECISION_MISSING"


def test_a_file_made_from_another_model_is_refused(int8_model: MakeModel) -> None:
    file = int8_model()
    change_card(file, lambda card: setattr(card, "description", "Another one."))
    file.with_name("held_out.npz").unlink()

    with pytest.raises(CardError, match="was made from a file with the SHA-256"):
        Model.load(file, INT8)


def test_a_card_that_names_other_classes_is_refused(int8_model: MakeModel) -> None:
    file = int8_model()
    change_card(file.with_name("model.int8.onnx"), lambda card: card.class_names.__setitem__(0, "pink"))

    with pytest.raises(CardError, match="has another class_names than the model file"):
        Model.load(file, INT8)


def test_a_file_that_is_not_reduced_is_refused(int8_model: MakeModel) -> None:
    file = int8_model()
    file.with_name("model.int8.onnx").write_bytes(file.read_bytes())

    with pytest.raises(CardError, match="holds a network in fp32, not in int8"):
        Model.load(file, INT8)


def test_a_card_with_an_unknown_precision_is_refused(int8_model: MakeModel) -> None:
    file = int8_model()
    reduced = file.with_name("model.int8.onnx")
    reduced.write_bytes(reduced.read_bytes().replace(b'"precision": "int8"', b'"precision": "int4"'))

    with pytest.raises(CardError, match="the card's precision must be bf16 or int8, not 'int4'"):
        Model.load(file, INT8)


def test_a_broken_file_is_refused(int8_model: MakeModel) -> None:
    file = int8_model()
    reduced = file.with_name("model.int8.onnx")
    reduced.write_bytes(reduced.read_bytes()[:500])

    with pytest.raises(ModelError):
        Model.load(file, INT8)


def test_weights_that_were_changed_fail_the_certificate_or_the_gate(int8_model: MakeModel) -> None:
    file = int8_model()
    reduced = file.with_name("model.int8.onnx")
    model = onnx.load(reduced)
    weight = next(each for each in model.graph.initializer if each.name == "w0_quantized")
    weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
    onnx.save(model, reduced)

    with pytest.raises((CertificateError, PrecisionError)):
        Model.load(file, INT8)


def test_a_card_that_claims_more_than_is_true_is_refused(int8_model: MakeModel, tmp_path: Path) -> None:
    """The agreement in the card counts for nothing: the server measures it."""
    file = int8_model()
    held_out = np.load(file.with_name("held_out.npz"))
    bad = write_convolutions(tmp_path / "bad", outlier=1e5)
    from spyglass_contract.model.held_out import HeldOut
    from spyglass_export.quantising.quantise import CalibrationData, quantise

    images = HeldOut(held_out["pixels"], held_out["labels"])
    quantise(bad, CalibrationData(colored_images(16)[0], images), tolerance=Tolerance(0.0, 1.0))

    def lie(card: ModelCard) -> None:
        card.reduced_precision.agreement, card.reduced_precision.least_agreement = 1.0, 0.99

    change_card(bad.with_name("model.int8.onnx"), lie)

    with pytest.raises(PrecisionError, match=r"the precision int8 is refused: .* images keep their class"):
        Model.load(bad, INT8)


def test_a_lowered_tolerance_is_logged(int8_model: MakeModel, caplog: pytest.LogCaptureFixture) -> None:
    file = int8_model(tolerance=Tolerance(0.5, 0.1))

    with caplog.at_level(logging.WARNING):
        Model.load(file, INT8)

    assert "requires 50.00 % of the classes and allows a loss of 10.00 points" in caplog.text


def test_held_out_images_that_are_truncated_are_refused(int8_model: MakeModel) -> None:
    file = int8_model()
    os.truncate(file.with_name("held_out.npz"), 300)

    with pytest.raises(ModelError, match=r"held_out.npz is not usable"):
        Model.load(file, INT8)


def test_a_file_in_int8_under_the_name_of_the_original_is_served_as_it_is(int8_model: MakeModel) -> None:
    file = int8_model()
    file.with_name("model.int8.onnx").replace(file)
    file.with_name("held_out.npz").unlink()

    model = Model.load(file, AUTO)
    assert model.served_by.precision == "int8"
    with pytest.raises(PrecisionError, match="already holds a network in int8"):
        Model.load(file, INT8)


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, "int8"), (0.95, "fp32")])
def test_auto_takes_int8_if_it_is_faster_here(
    int8_model: MakeModel, monkeypatch: pytest.MonkeyPatch, ratio: float, expected: str
) -> None:
    monkeypatch.setattr(module, "time_ratio", lambda *_: ratio)

    model = Model.load(int8_model(), AUTO)
    assert model.served_by.precision == expected


def test_auto_serves_fp32_if_int8_is_refused_and_says_why(
    int8_model: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    file = int8_model()
    os.truncate(file.with_name("held_out.npz"), 300)

    with caplog.at_level(logging.INFO):
        model = Model.load(file, AUTO)
        assert model.served_by.precision == "fp32"

    assert "colors stays in fp32, not in int8: held_out.npz is not usable" in caplog.text


def test_auto_serves_fp32_if_there_is_nothing_else(
    make_model: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = Model.load(make_model(), AUTO)
        assert model.served_by.precision == "fp32"

    assert "colors stays in fp32, not in int8: colors/1 has no model.int8.onnx" in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(
    not processor_flags() & {"avx512_vnni", "avx_vnni"}, reason="its weights have 8 bits, which need VNNI"
)
def test_the_bundled_file_in_int8_passes_the_gate(bundled_file: Callable[[str], Path]) -> None:
    model = Model.load(bundled_file("foreground"), INT8)
    assert model.served_by.precision == "int8"
    assert model.card.reduced_precision.agreement >= 0.99


class Rounded(Session):
    """A session whose bf16 is float32 with its probabilities rounded to multiples of `step`."""

    step = 1 / 256

    def __init__(self, path: Path, *, precision: ComputePrecision = "fp32", **options: Any) -> None:
        super().__init__(path, **options)
        if precision == "bf16":
            self.provider = "Rounding"
        self._rounds = precision == "bf16"

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        exact = super().run(pixels)
        return np.round(exact / self.step) * np.float32(self.step) if self._rounds else exact


def test_bf16_is_measured_when_it_is_loaded(int8_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Session", Rounded)
    file = int8_model(heatmap=True)

    model = Model.load(file, Resources(device="cpu", precision="bf16"))
    assert (model.served_by.precision, model.served_by.provider) == ("bf16", "Rounding")
    assert model.served_by.sha256 == model.heatmaps_served_by.sha256 == sha256(file)
    heatmaps = model.heatmaps_served_by
    assert (heatmaps.precision, heatmaps.provider) == ("fp32", "CPUExecutionProvider")
    reduced = model.card.reduced_precision
    # 40 held-out images and 3 golden ones.
    assert (reduced.precision, reduced.held_out_images, reduced.agreement) == ("bf16", 43, 1.0)
    assert (reduced.metric, reduced.original_metric) == ("accuracy", 1.0)


def test_bf16_that_loses_classes_is_refused(int8_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Session", Rounded)
    monkeypatch.setattr(Rounded, "step", 2.0)

    with pytest.raises(PrecisionError, match=r"the precision bf16 is refused: \d+\.\d+% of 43 images keep"):
        Model.load(int8_model(), Resources(device="cpu", precision="bf16"))
