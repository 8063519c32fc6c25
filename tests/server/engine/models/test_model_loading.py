"""Loading a model: its file, its certificate, and its device."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_server.engine.models.model import Model, Resources

MakeCard = Callable[..., ModelCard]
MakeModel = Callable[..., Path]


@pytest.fixture
def model(make_model: MakeModel) -> Model:
    return Model.load(make_model(), Resources(device="cpu", workers=2))


def test_a_valid_file_is_loaded_as_a_model(model: Model) -> None:
    blue = np.full((8, 8, 3), (0, 0, 255), np.uint8)
    (probabilities,) = model.network.run(blue[np.newaxis])

    assert model.class_names == ("red", "green", "blue")
    assert int(probabilities.argmax()) == 2


def test_a_model_has_the_path_and_the_hash_of_its_file(make_model: MakeModel) -> None:
    path = make_model()

    model = Model.load(path, Resources(device="cpu"))

    assert model.served_by.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (model.served_by.model, model.served_by.version) == ("colors", 1)
    assert model.served_by.provider == "CPUExecutionProvider"


@pytest.mark.parametrize(("setting", "found"), [(0, 1), (4, 4)])
def test_images_run_one_by_one_on_a_cpu_by_default(make_model: MakeModel, setting: int, found: int) -> None:
    assert Model.load(make_model(), Resources(device="cpu", max_batch=setting)).max_batch == found


def test_a_file_whose_outputs_differ_from_its_certificate_is_refused(
    make_card: MakeCard, make_model: MakeModel
) -> None:
    card = make_card()
    card.certificate.tensors[0].expected[0] += 0.01

    with pytest.raises(CertificateError, match="differ from the certificate's"):
        Model.load(make_model(card), Resources(device="cpu"))


def test_a_file_without_a_certificate_is_refused(make_card: MakeCard, make_model: MakeModel) -> None:
    card = make_card()
    card.ClearField("certificate")

    with pytest.raises(CertificateError, match="no certificate"):
        Model.load(make_model(card), Resources(device="cpu"))


def test_pixels_that_differ_from_those_of_the_export_are_logged(
    make_card: MakeCard, make_model: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    card = make_card()
    card.certificate.images[0].pixels_sha256 = "00" * 32

    with caplog.at_level(logging.WARNING):
        Model.load(make_model(card), Resources(device="cpu"))

    assert "red.png decode to other pixels" in caplog.text
