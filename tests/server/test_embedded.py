"""The data plane without a server: models are loaded when they are first asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError, DeadlineExceeded, InvalidInput, ModelError, NotFound
from spyglass_server.domain import ModelSelector
from spyglass_server.embedded import open_embedded

MakeCard = Callable[..., ModelCard]
MakeModel = Callable[..., Path]
MakeImage = Callable[..., bytes]


def test_it_answers_as_a_server_does(tiny_models: Path, color_image: MakeImage) -> None:
    with open_embedded(tiny_models) as embedded:
        result = embedded.classify(color_image("blue"), model=ModelSelector("colors"), top_k=1)

    assert [score.name for score in result.classes] == ["blue"]
    assert (result.served_by.model, result.served_by.provider) == ("colors", "CPUExecutionProvider")


def test_the_only_model_is_the_default_as_it_is_of_a_server(
    tiny_models: Path, color_image: MakeImage
) -> None:
    with open_embedded(tiny_models) as embedded:
        assert embedded.classify(color_image("blue")).classes[0].name == "blue"


def test_the_bundled_default_is_taken_before_any_other(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    make_model(make_card("colors"))
    make_model(make_card("imagenet"))

    with open_embedded(tmp_path / "models") as embedded:
        assert embedded.classify(color_image("blue")).served_by.model == "imagenet"


def test_of_several_models_none_is_the_default(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    make_model(make_card("colors"))
    make_model(make_card("paints"))

    with open_embedded(tmp_path / "models") as embedded, pytest.raises(NotFound, match="no default model"):
        embedded.classify(color_image("blue"))


def test_without_a_version_the_highest_is_meant(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    for version in (2, 10, 9):
        make_model(make_card("colors", version))

    with open_embedded(tmp_path / "models") as embedded:
        image = color_image("blue")
        assert embedded.classify(image).served_by.version == 10
        assert embedded.classify(image, model=ModelSelector("colors", version=2)).served_by.version == 2
        with pytest.raises(NotFound, match="colors has no version 3; served: 2, 9, 10"):
            embedded.classify(image, model=ModelSelector("colors", version=3))


def test_a_model_that_nobody_asks_for_is_not_opened(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    make_model(make_card("colors"))
    make_model(make_card("broken")).write_bytes(b"no model")

    with open_embedded(tmp_path / "models") as embedded:
        assert embedded.classify(color_image("red"), model=ModelSelector("colors")).classes
        with pytest.raises(ModelError, match="broken/1"):
            embedded.classify(color_image("red"), model=ModelSelector("broken"))


def test_a_model_is_opened_once(make_model: MakeModel, tmp_path: Path, color_image: MakeImage) -> None:
    path = make_model()

    with open_embedded(tmp_path / "models") as embedded:
        embedded.classify(color_image("red"))
        shutil.rmtree(path.parent)
        assert embedded.classify(color_image("red")).classes


def test_a_model_that_fails_its_certificate_is_not_used(
    make_card: MakeCard, make_model: MakeModel, tmp_path: Path, color_image: MakeImage
) -> None:
    card = make_card()
    card.certificate.tensors[0].expected[0] += 0.01
    make_model(card)

    with open_embedded(tmp_path / "models") as embedded, pytest.raises(CertificateError, match="colors/1"):
        embedded.classify(color_image("red"))


def test_a_timeout_holds(tiny_models: Path, color_image: MakeImage) -> None:
    with open_embedded(tiny_models) as embedded, pytest.raises(DeadlineExceeded):
        embedded.classify(color_image("red"), timeout=0)


def test_bad_input_is_refused_as_by_a_server(tiny_models: Path, color_image: MakeImage) -> None:
    with open_embedded(tiny_models) as embedded, pytest.raises(InvalidInput):
        embedded.classify(color_image("red"), top_k=9)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"), open_embedded(tmp_path / "nowhere"):
        pass
