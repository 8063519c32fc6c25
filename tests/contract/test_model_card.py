"""The card: written into an ONNX file, read back by ONNX Runtime alone, refused where it is not whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import CardError
from spyglass_contract.model.card import (
    METADATA_KEY,
    card_from_metadata,
    card_to_json,
    validate_card,
    write_card,
)

onnx = pytest.importorskip("onnx")

MakeCard = Callable[..., ModelCard]

READ_WITHOUT_ONNX = """
import sys
import onnxruntime
from spyglass_contract.model.card import card_to_json, read_card

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(card_to_json(read_card(session)))
assert "onnx" not in sys.modules
"""


def test_a_card_reads_back_as_it_was_written(make_card: MakeCard) -> None:
    card = make_card()

    assert card_from_metadata({METADATA_KEY: card_to_json(card)}) == card


def test_a_card_is_read_through_onnxruntime_alone(
    make_card: MakeCard, make_model: Callable[..., Path]
) -> None:
    card = make_card()

    finished = subprocess.run(
        [sys.executable, "-c", READ_WITHOUT_ONNX, str(make_model(card))], capture_output=True, text=True
    )

    assert finished.stderr == ""
    assert card_from_metadata({METADATA_KEY: finished.stdout}) == card


def test_a_card_takes_the_place_of_the_one_before_it(make_card: MakeCard) -> None:
    model = onnx.ModelProto()
    model.metadata_props.add(key="author", value="somebody")

    for version in (1, 2):
        write_card(model, make_card(version=version))

    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert len(model.metadata_props) == 2
    assert metadata["author"] == "somebody"
    assert card_from_metadata(metadata).version == 2


def test_an_incomplete_card_is_not_written(make_card: MakeCard) -> None:
    model, card = onnx.ModelProto(), make_card()
    card.ClearField("task")

    with pytest.raises(CardError):
        write_card(model, card)

    assert not model.metadata_props


def test_a_card_of_a_later_version_of_this_package_is_read(make_card: MakeCard) -> None:
    text = card_to_json(make_card()).replace("{", '{"something_new": [1, 2], ', 1)

    assert card_from_metadata({METADATA_KEY: text}) == make_card()


def test_the_names_in_a_card_are_those_of_the_proto_file(make_card: MakeCard) -> None:
    assert '"class_names"' in card_to_json(make_card())


def test_a_file_without_a_card_is_refused() -> None:
    with pytest.raises(CardError, match="no model card"):
        card_from_metadata({"author": "somebody"})


@pytest.mark.parametrize(
    "text", ["", "not JSON", "[]", '{"name": 5}', '{"version": "first"}', '{"task": "FLY"}']
)
def test_a_card_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(CardError):
        card_from_metadata({METADATA_KEY: text})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "name ''"),
        ("name", "Upper", "name 'Upper'"),
        ("name", "../etc", "name '../etc'"),
        ("name", "a/b", "name 'a/b'"),
        ("name", ".hidden", "name '.hidden'"),
        ("name", "a\n", "name"),
        ("name", "x" * 64, "name"),
        ("version", 0, "version is 0"),
        ("version", -3, "version is -3"),
        ("task", 0, "no task"),
    ],
)
def test_a_card_names_what_is_wrong_with_it(
    make_card: MakeCard, field: str, value: object, message: str
) -> None:
    card = make_card()
    setattr(card, field, value)

    with pytest.raises(CardError, match=message):
        validate_card(card)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tensor", "", "input tensor"),
        ("height", 0, "input size 0x8"),
        ("width", 8193, "input size 8x8193"),
        ("color_mode", 0, "colour mode"),
        ("resize", 0, "resize rule"),
        ("crop_fraction", 1.5, "crop fraction 1.5"),
        ("crop_fraction", -0.5, "crop fraction -0.5"),
        ("crop_fraction", float("nan"), "crop fraction nan"),
    ],
)
def test_a_card_names_what_is_wrong_with_its_input(
    make_card: MakeCard, field: str, value: object, message: str
) -> None:
    card = make_card()
    setattr(card.input, field, value)

    with pytest.raises(CardError, match=message):
        validate_card(card)


def test_a_card_with_one_class_is_refused(make_card: MakeCard) -> None:
    card = make_card()
    del card.class_names[1:]

    with pytest.raises(CardError, match="two classes"):
        validate_card(card)


def test_a_segmentation_model_has_as_many_classes_as_a_mask_holds_at_most(make_card: MakeCard) -> None:
    card = make_card()
    card.task = TASK_SEGMENT
    card.class_names[:] = [f"class {number}" for number in range(255)]
    validate_card(card)
    card.class_names.append("one more")

    with pytest.raises(CardError, match="a mask holds 255"):
        validate_card(card)


def test_a_network_that_does_not_take_bytes_is_refused(make_card: MakeCard) -> None:
    card = make_card()
    card.input.value_range.maximum = 1

    with pytest.raises(CardError, match="0 to 255"):
        validate_card(card)


@pytest.mark.parametrize("name", ["a", "0", "mnist-convnet", "efficientnet_lite0", "v1.2", "x" * 63])
def test_a_plain_name_is_allowed(make_card: MakeCard, name: str) -> None:
    validate_card(make_card(name=name))
