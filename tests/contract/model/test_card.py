"""The card: written into an ONNX file, read by ONNX Runtime alone, rejected if it is not complete."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass.v1.model_pb2 import RESAMPLING_BICUBIC, TASK_SEGMENT, ModelCard
from spyglass_contract.errors import CardError
from spyglass_contract.model.card import (
    HEATMAP_METHODS,
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


def test_a_card_replaces_the_one_in_the_file(make_card: MakeCard) -> None:
    model = onnx.ModelProto()
    model.metadata_props.add(key="author", value="Ada")

    for version in (1, 2):
        write_card(model, make_card(version=version))

    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert len(model.metadata_props) == 2
    assert metadata["author"] == "Ada"
    assert card_from_metadata(metadata).version == 2


def test_an_incomplete_card_is_not_written(make_card: MakeCard) -> None:
    model, card = onnx.ModelProto(), make_card()
    card.ClearField("task")

    with pytest.raises(CardError):
        write_card(model, card)

    assert not model.metadata_props


def test_unknown_fields_of_a_later_version_are_skipped(make_card: MakeCard) -> None:
    text = card_to_json(make_card()).replace("{", '{"something_new": [1, 2], ', 1)

    assert card_from_metadata({METADATA_KEY: text}) == make_card()


def test_a_card_has_the_field_names_of_the_proto_file(make_card: MakeCard) -> None:
    assert '"class_names"' in card_to_json(make_card())


def test_a_file_without_a_card_is_rejected() -> None:
    with pytest.raises(CardError, match=r"no model card.*`spyglass adopt"):
        card_from_metadata({"author": "Ada"})


@pytest.mark.parametrize(
    "text", ["", "not JSON", "[]", '{"name": 5}', '{"version": "first"}', '{"task": "FLY"}']
)
def test_text_that_is_not_a_card_is_rejected(text: str) -> None:
    with pytest.raises(CardError):
        card_from_metadata({METADATA_KEY: text})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "not ''"),
        ("name", "Upper", "not 'Upper'"),
        ("name", "../etc", "not '../etc'"),
        ("name", "a/b", "not 'a/b'"),
        ("name", ".hidden", "not '.hidden'"),
        ("name", "a\n", "name"),
        ("name", "x" * 64, "name"),
        ("version", 0, "version must be 1 or more, not 0"),
        ("version", -3, "not -3"),
        ("task", 0, "task must be TASK_CLASSIFY or TASK_SEGMENT, not TASK_UNSPECIFIED"),
        ("task", 9, "task must be TASK_CLASSIFY or TASK_SEGMENT, not 9"),
        ("score_kind", 9, "score_kind must be SCORE_KIND_UNSPECIFIED or .*, not 9"),
        (
            "heatmap_method",
            "smoothgrad",
            "heatmap_method must be gradcam or .* or scorecam, not 'smoothgrad'",
        ),
        ("heatmap_method", "GradCAM", "not 'GradCAM'"),
        ("explained_score", "odds", "explained_score must be logit or probability, not 'odds'"),
    ],
)
def test_an_invalid_field_of_a_card_is_named(
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
        ("height", 0, "not 0x8"),
        ("width", 8193, "not 8x8193"),
        ("color_mode", 0, "color_mode must be COLOR_MODE_RGB or COLOR_MODE_GREY, not COLOR_MODE_UNSP"),
        ("color_mode", 9, "color_mode must be .*, not 9"),
        ("resize", 0, "resize must be RESIZE_RULE_STRETCH or .*, not RESIZE_RULE_UNSPECIFIED"),
        ("resize", 9, "resize must be .*, not 9"),
        ("resampling", 9, "resampling must be RESAMPLING_BILINEAR or RESAMPLING_BICUBIC, not 9"),
        ("crop_fraction", 1.5, "crop_fraction must be .*, not 1.5"),
        ("crop_fraction", -0.5, "not -0.5"),
        ("crop_fraction", float("nan"), "not nan"),
    ],
)
def test_an_invalid_field_of_the_input_is_named(
    make_card: MakeCard, field: str, value: object, message: str
) -> None:
    card = make_card()
    setattr(card.input, field, value)

    with pytest.raises(CardError, match=message):
        validate_card(card)


def test_a_card_with_one_class_is_rejected(make_card: MakeCard) -> None:
    card = make_card()
    del card.class_names[1:]

    with pytest.raises(CardError, match="two classes or more, not 1"):
        validate_card(card)


def test_a_segmentation_model_has_at_most_255_classes(make_card: MakeCard) -> None:
    card = make_card()
    card.task = TASK_SEGMENT
    card.class_names[:] = [f"class {number}" for number in range(255)]
    validate_card(card)
    card.class_names.append("one more")

    with pytest.raises(CardError, match="256 classes; a mask can hold 255"):
        validate_card(card)


def test_a_network_that_does_not_take_values_up_to_255_is_rejected(make_card: MakeCard) -> None:
    card = make_card()
    card.input.value_range.maximum = 1

    with pytest.raises(CardError, match="value_range must be 0 to 255, not 0 to 1"):
        validate_card(card)


@pytest.mark.parametrize("name", ["a", "0", "mnist-convnet", "efficientnet_lite0", "v1.2", "x" * 63])
def test_a_plain_name_is_allowed(make_card: MakeCard, name: str) -> None:
    validate_card(make_card(name=name))


def test_an_unknown_resampling_is_rejected_and_not_read_as_bilinear(make_card: MakeCard) -> None:
    card = make_card()
    card.input.resampling = RESAMPLING_BICUBIC
    text = card_to_json(card)
    assert card_from_metadata({METADATA_KEY: text}) == card

    with pytest.raises(CardError, match="resampling 'RESAMPLING_LANCZOS' is unknown"):
        card_from_metadata({METADATA_KEY: text.replace("RESAMPLING_BICUBIC", "RESAMPLING_LANCZOS")})


@pytest.mark.parametrize("number", [-1, 9, 2**31 - 1, 2**40, "9", 1.5])
@pytest.mark.parametrize(
    "place", [("task",), ("input", "color_mode"), ("input", "resize"), ("input", "resampling")]
)
def test_an_unknown_number_of_an_enum_in_the_json_is_rejected(
    make_card: MakeCard, place: tuple[str, ...], number: object
) -> None:
    fields = json.loads(card_to_json(make_card()))
    *outer, name = place
    within = fields
    for key in outer:
        within = within[key]
    within[name] = number
    with pytest.raises(CardError):
        card_from_metadata({METADATA_KEY: json.dumps(fields)})


@pytest.mark.parametrize("method", HEATMAP_METHODS)
def test_every_method_of_heatmaps_is_allowed(make_card: MakeCard, method: str) -> None:
    card = make_card()
    card.heatmap_method, card.explained_score = method, "probability"
    validate_card(card)
