"""The model card in the metadata of an ONNX file: all that a server or a caller must know of the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from spyglass.v1.model_pb2 import (
    RESAMPLING_BILINEAR,
    RESAMPLING_UNSPECIFIED,
    TASK_CLASSIFY,
    TASK_SEGMENT,
    InputSpec,
    ModelCard,
    ScoreKind,
)
from spyglass_contract.errors import CardError
from spyglass_contract.images.geometry import RESIZE_RULES
from spyglass_contract.images.input_spec import CHANNELS, check_resampling, unknown_value
from spyglass_contract.masks.placement import VOID
from spyglass_contract.model.precisions import validate_reduced

if TYPE_CHECKING:
    import onnx

    from spyglass_contract.onnx_runtime import onnxruntime

METADATA_KEY = "spyglass.card"

TASKS = (TASK_CLASSIFY, TASK_SEGMENT)

# The graph output with the probabilities, float32 [batch, classes] or [batch, height, width, classes].
PROBABILITIES = "probabilities"

# A file with a heatmap also has an input, int64 [targets], with the indices of the classes to explain
# (PREDICTED, or any negative number: the predicted class; empty: no heatmap, at no cost), and an output,
# float32 [maps, height, width].
CLASS_INDEX = "class_index"
PREDICTED = -1
HEATMAP = "heatmap"

# The methods of heatmaps. The graph computes all of them but Score-CAM.
SCORE_CAM = "scorecam"
HeatmapMethod = Literal["gradcam", "gradcam++", "layercam", "eigencam", "scorecam"]
HEATMAP_METHODS: tuple[HeatmapMethod, ...] = get_args(HeatmapMethod)

# The class scores that heatmaps explain.
EXPLAINED_SCORES = ("logit", "probability")

# A file for Score-CAM has these outputs instead of `heatmap`: the feature map, float32 [batch, channels,
# height, width], and the class scores, float32 [batch, classes], which are logits, or probabilities if the
# network has no logits. They are empty if `class_index` is empty.
FEATURE_MAP = "heatmap_features"
SCORES = "heatmap_scores"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def write_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Put `card` into the metadata of `model`, in place of any card there.

    Raises CardError if the card is not complete.
    """
    validate_card(card)
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=card_to_json(card))


def read_card(session: onnxruntime.InferenceSession) -> ModelCard:
    """Read the card of a loaded file. Needs ONNX Runtime, but not the `onnx` package.

    Raises CardError if the file has no card or an invalid one.
    """
    return card_from_metadata(session.get_modelmeta().custom_metadata_map)


def card_from_metadata(metadata: Mapping[str, str]) -> ModelCard:
    """Read the card from the metadata of an ONNX file. Its resampling is never UNSPECIFIED.

    Raises CardError if there is no valid card.
    """
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise CardError(
            "the file has no model card: it is not made for Spyglass; `spyglass adopt FILE.onnx` makes a "
            "model of any ONNX classifier, and `spyglass export` of a training run"
        )
    try:
        card = json_format.Parse(text, ModelCard(), ignore_unknown_fields=True)
        _check_enums(json.loads(text), ModelCard.DESCRIPTOR)
    except (json_format.ParseError, ValueError) as error:
        raise CardError(f"the model card is not valid JSON of a ModelCard: {error}") from error
    validate_card(card)
    if card.input.resampling == RESAMPLING_UNSPECIFIED:
        # Cards of early versions do not state it.
        card.input.resampling = RESAMPLING_BILINEAR
    return card


def card_to_json(card: ModelCard) -> str:
    """Return the card as JSON on one line, with the names of the .proto file."""
    return json_format.MessageToJson(card, preserving_proto_field_name=True, indent=None)


def validate_card(card: ModelCard) -> None:
    """Raise CardError with the first field that is missing or invalid."""
    if not _NAME.fullmatch(card.name):
        raise CardError(
            "the card's name must be 1 to 63 lower-case letters, digits, '.', '_' and '-' that start with a "
            f"letter or digit, not {card.name!r}"
        )
    if card.version < 1:
        raise CardError(f"the card's version must be 1 or more, not {card.version}")
    if card.task not in TASKS:
        raise unknown_value(card, "task", TASKS)
    if card.score_kind not in ScoreKind.values():
        raise unknown_value(card, "score_kind", ScoreKind.values())
    if len(card.class_names) < 2:
        raise CardError(f"the card must name two classes or more, not {len(card.class_names)}")
    if card.task == TASK_SEGMENT and len(card.class_names) > VOID:
        raise CardError(f"the card names {len(card.class_names)} classes; a mask can hold {VOID}")
    _check_choice("heatmap_method", card.heatmap_method, HEATMAP_METHODS)
    _check_choice("explained_score", card.explained_score, EXPLAINED_SCORES)
    if card.HasField("reduced_precision"):
        validate_reduced(card.reduced_precision)
    validate_input(card.input)


def _check_choice(field: str, value: str, known: Sequence[str]) -> None:
    """Raise CardError unless a text of the card is empty or known."""
    if value and value not in known:
        raise CardError(f"the card's {field} must be {' or '.join(known)}, not {value[:100]!r}")


def validate_input(spec: InputSpec) -> None:
    """Raise CardError with the first field of the input that is missing or invalid."""
    if not spec.tensor:
        raise CardError("the card does not name the input tensor")
    if not (0 < spec.height <= 8192 and 0 < spec.width <= 8192):
        raise CardError(
            f"the card's input must have 1 to 8192 pixels a side, not {spec.height}x{spec.width} "
            "(height x width)"
        )
    if spec.color_mode not in CHANNELS:
        raise unknown_value(spec, "color_mode", CHANNELS)
    if spec.resize not in RESIZE_RULES:
        raise unknown_value(spec, "resize", RESIZE_RULES)
    check_resampling(spec)
    values = spec.value_range
    if (values.minimum, values.maximum) != (0, 255):
        raise CardError(
            f"the card's value_range must be 0 to 255, not {values.minimum:g} to {values.maximum:g}: "
            "the network must take uint8 pixels"
        )
    if not 0 <= spec.crop_fraction <= 1:
        raise CardError(f"the card's crop_fraction must be in [0, 1], not {spec.crop_fraction:g}")


def _check_enums(fields: object, message: Descriptor) -> None:
    """Raise ValueError if the JSON of a card states a value of an enum that is not one of its names.

    The parser, which must skip the unknown fields of later versions, also skips unknown values of an enum.
    For most enums that leaves UNSPECIFIED, which is rejected; for the resampling it would leave bilinear.
    Numbers are rejected: the parser rounds them, and cards are written with names.
    """
    if not isinstance(fields, dict):
        return
    for field in message.fields:
        value = fields.get(field.name, fields.get(field.json_name))
        if field.enum_type is not None and value is not None:
            names = list(field.enum_type.values_by_name)
            if value not in names:
                known = ", ".join(names)
                raise ValueError(f"the {field.name} {str(value)[:100]!r} is unknown; known: {known}")
        elif field.message_type is not None:
            _check_enums(value, field.message_type)
