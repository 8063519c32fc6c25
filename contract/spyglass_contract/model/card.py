"""The model card inside an ONNX file: all that a server or a caller must know about the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from google.protobuf import json_format

from spyglass.v1.model_pb2 import (
    COLOR_MODE_UNSPECIFIED,
    RESIZE_RULE_UNSPECIFIED,
    TASK_SEGMENT,
    TASK_UNSPECIFIED,
    InputSpec,
    ModelCard,
)
from spyglass_contract.errors import CardError
from spyglass_contract.masks.placement import UNSEEN

if TYPE_CHECKING:
    import onnx
    import onnxruntime

METADATA_KEY = "spyglass.card"

# The name of the graph output that holds float32 [batch, classes], or [batch, height, width, classes].
PROBABILITIES = "probabilities"

# The names of what a file with a heatmap has besides: an input int64 [asked], the classes to explain
# (negative: the predicted one; empty: no heatmap, no cost), and an output float32 [maps, height, width].
CLASS_INDEX = "class_index"
HEATMAP = "heatmap"

# How a heatmap can come about. All but Score-CAM are computed by the graph.
SCORE_CAM = "scorecam"
HEATMAP_METHODS = ("gradcam", "gradcam++", "layercam", "eigencam", SCORE_CAM)

# What a file for Score-CAM has in place of `heatmap`, for each image unless `class_index` is empty: the
# feature map, float32 [batch, channels, height, width], and the class scores, float32 [batch, classes]:
# logits, or probabilities where the network has no logits.
FEATURE_MAP = "heatmap_features"
SCORES = "heatmap_scores"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def write_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Puts `card` into the metadata of `model`, in place of any card there.

    Raises CardError where the card is not complete.
    """
    validate_card(card)
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=card_to_json(card))


def read_card(session: onnxruntime.InferenceSession) -> ModelCard:
    """Reads the card of a loaded file; ONNX Runtime is all it takes.

    Raises CardError where the file has no card or one that does not hold together.
    """
    return card_from_metadata(session.get_modelmeta().custom_metadata_map)


def card_from_metadata(metadata: Mapping[str, str]) -> ModelCard:
    """Reads the card out of an ONNX file's metadata. Raises CardError."""
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise CardError("the file has no model card; was it made by `spyglass export`?")
    try:
        card = json_format.Parse(text, ModelCard(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise CardError(f"the model card is not readable: {error}") from error
    validate_card(card)
    return card


def card_to_json(card: ModelCard) -> str:
    """The card as JSON, names as in the .proto file."""
    return json_format.MessageToJson(card, preserving_proto_field_name=True, indent=None)


def validate_card(card: ModelCard) -> None:
    """Raises CardError that names the first thing missing or wrong."""
    if not _NAME.fullmatch(card.name):
        raise CardError(f"the card's name {card.name!r} is not lower-case letters, digits, '.', '_', '-'")
    if card.version < 1:
        raise CardError(f"the card's version is {card.version}, not 1 or more")
    if card.task == TASK_UNSPECIFIED:
        raise CardError("the card names no task")
    if len(card.class_names) < 2:
        raise CardError("the card names fewer than two classes")
    if card.task == TASK_SEGMENT and len(card.class_names) > UNSEEN:
        raise CardError(f"the card names {len(card.class_names)} classes; a mask holds {UNSEEN}")
    validate_input(card.input)


def validate_input(spec: InputSpec) -> None:
    """Raises CardError where the input is not fully stated."""
    if not spec.tensor:
        raise CardError("the card does not name the input tensor")
    if not (0 < spec.height <= 8192 and 0 < spec.width <= 8192):
        raise CardError(f"the card's input size {spec.height}x{spec.width} is not in 1 to 8192")
    if spec.color_mode == COLOR_MODE_UNSPECIFIED:
        raise CardError("the card names no colour mode")
    if spec.resize == RESIZE_RULE_UNSPECIFIED:
        raise CardError("the card names no resize rule")
    if (spec.value_range.minimum, spec.value_range.maximum) != (0, 255):
        raise CardError("the card's value range is not 0 to 255; the network must take uint8 pixels")
    if not 0 <= spec.crop_fraction <= 1:
        raise CardError(f"the card's crop fraction {spec.crop_fraction} is not in 0 to 1")
