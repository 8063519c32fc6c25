"""A network with large rounding noise of its own is adopted with a larger tolerance; a wrong graph is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from spyglass_contract.errors import CertificateError
from spyglass_contract.model.card import read_card
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, replay_tolerance, verify
from spyglass_export.proving.noise import perturbed, perturbed_to, tolerance_for
from spyglass_export.proving.prove import prove
from spyglass_export.session import open_session, runner

FLAGS = ("--scale", "1/255")


def cancelling(theirs: Any, file: Path, offset: float) -> Path:
    """Logits that are the difference of two numbers of about `offset`, behind a batch normalisation.

    ONNX Runtime fuses the normalisation with the convolution, unless a heatmap reads the tensor in between.
    """
    model = onnx.load(theirs.write(file))
    numbers = {
        "gain": [1.0, 1.1, 0.9, 1.3],
        "shift": [0.1, 0.2, 0.3, 0.1],
        "mean_": [0.1, 0.2, -0.1, 0.3],
        "variance": [1.1, 0.9, 1.2, 0.7],
        "offset": np.full((4, 1), offset),
    }
    for name, values in numbers.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.float32), name))
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "weight")
    weight.CopyFrom(numpy_helper.from_array(theirs.weight + np.float32(offset), "weight"))
    nodes = list(model.graph.node)
    normal = ["convolved", "gain", "shift", "mean_", "variance"]
    nodes.insert(1, helper.make_node("BatchNormalization", normal, ["normal"], name="normal"))
    nodes[2].input[0] = "normal"
    nodes[-1].output[0] = "large"
    nodes.append(helper.make_node("MatMul", ["mean", "offset"], ["sum"]))
    nodes.append(helper.make_node("Sub", ["large", "sum"], [theirs.output]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, file)
    return file


def test_a_network_that_rounds_coarsely_has_a_larger_tolerance(
    classifier: Any,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = cancelling(classifier(), tmp_path / "theirs.onnx", 1000)
    assert attach(file, *FLAGS, "--feature-map", "convolved") == 0
    certificate = (card := adopted()[0]).certificate
    assert certificate.max_abs_diff > EXPORT_TOLERANCE
    assert 1e-5 < certificate.noise < 1e-3
    assert certificate.tolerance == pytest.approx(8 * certificate.noise)
    assert replay_tolerance(card) == pytest.approx(2 * certificate.tolerance)
    assert f"(allowed: {certificate.tolerance:.0e})" in capsys.readouterr().out


def test_a_network_that_rounds_finely_keeps_the_usual_tolerance(
    classifier: Any, attach: Callable[..., int], adopted: Callable[[], Any], tmp_path: Path
) -> None:
    assert attach(cancelling(classifier(), tmp_path / "theirs.onnx", 0), *FLAGS) == 0
    certificate = adopted()[0].certificate
    assert 0 < certificate.noise < 1e-6
    assert certificate.tolerance == pytest.approx(EXPORT_TOLERANCE)


def test_noise_does_not_excuse_another_graph(
    classifier: Any, attach: Callable[..., int], adopted: Callable[[], Any], tmp_path: Path
) -> None:
    """The weights of the convolution are 5 % larger."""
    assert attach(cancelling(classifier(), tmp_path / "theirs.onnx", 1000), *FLAGS) == 0
    written = tmp_path / "models/theirs/1/model.onnx"
    model, card = onnx.load(written), adopted()[0]
    filters = next(tensor for tensor in model.graph.initializer if tensor.name == "filters")
    values = numpy_helper.to_array(filters).copy()
    values *= 1.05
    filters.CopyFrom(numpy_helper.from_array(values, "filters"))
    session = open_session(model.SerializeToString())
    with pytest.raises(CertificateError, match=r"differ .* rounding noise is .*e-05"):
        prove(session, card)
    with pytest.raises(CertificateError, match="differ from the certificate's"):
        verify(card, runner(session, read_card(open_session(written))))


@pytest.mark.parametrize(("noise", "tolerance"), [(0, 1e-5), (1e-6, 1e-5), (1e-4, 8e-4), (1, 1e-2)])
def test_the_tolerance_follows_the_noise_between_two_bounds(noise: float, tolerance: float) -> None:
    assert tolerance_for(noise) == pytest.approx(tolerance)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_perturbed_numbers_are_the_next_ones(dtype: Any) -> None:
    numbers = np.random.default_rng(1).normal(size=(2, 30)).astype(dtype)
    found = perturbed(numbers, np.random.default_rng(0))
    assert found.dtype == dtype
    above = found > numbers
    assert above.any() and not above.all()
    np.testing.assert_array_equal(
        np.abs(found - numbers),
        np.where(
            above,
            np.nextafter(numbers, dtype(np.inf)) - numbers,
            numbers - np.nextafter(numbers, dtype(-np.inf)),
        ),
    )


@pytest.mark.parametrize("bits", [8, 11])
def test_a_change_in_the_last_bit_is_a_unit_of_that_precision(bits: int) -> None:
    scores = np.float32([[1, 1.9, -0.3, 40.5]])
    found = np.abs(perturbed_to(bits, scores, np.random.default_rng(0)) - scores)
    np.testing.assert_allclose(found, np.array([[1, 1, 0.25, 32]]) * 2.0 ** (1 - bits), rtol=1e-3)


@pytest.mark.parametrize("outputs", ["float16", "float32"])
def test_scores_that_the_network_rounds_to_half_precision_are_allowed_their_rounding(
    outputs: str, classifier: Any, attach: Callable[..., int], adopted: Callable[[], Any], tmp_path: Path
) -> None:
    """The certificate compares the softmax of logits with that of their logarithmic softmax in float16."""
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    (output,) = model.graph.output
    cast = helper.make_node("Cast", [output.name], ["half"], to=onnx.TensorProto.FLOAT16)
    model.graph.node.extend([cast, helper.make_node("LogSoftmax", ["half"], ["logarithm"])])
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(outputs))
    model.graph.node.append(helper.make_node("Cast", ["logarithm"], ["result"], to=kind))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("result", kind, None))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", *FLAGS) == 0
    certificate = adopted()[0].certificate
    assert certificate.max_abs_diff > EXPORT_TOLERANCE
    assert 1e-5 < certificate.noise < 2e-3
