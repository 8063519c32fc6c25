"""The text form of a model's name: NAME, NAME:VERSION or NAME@LABEL."""

from __future__ import annotations

import re

from spyglass.v1.model_pb2 import ModelRef
from spyglass_contract.errors import InvalidInput

_PATTERN = re.compile(r"(?P<name>[^:@\s]+)(:(?P<version>[1-9][0-9]{0,17})|@(?P<label>[^:@\s]+))?")


def model_ref(model: str) -> ModelRef:
    """Return the message of a text form; an empty text is the server's default model. Raises InvalidInput."""
    if not model:
        return ModelRef()
    match = _PATTERN.fullmatch(model)
    if match is None:
        raise InvalidInput(
            f"the model must be NAME, NAME:VERSION or NAME@LABEL, not {model!r}",
            reason="MODEL_NAME_INVALID",
            field="model",
        )
    if match["version"]:
        return ModelRef(name=match["name"], version=int(match["version"]))
    if match["label"]:
        return ModelRef(name=match["name"], label=match["label"])
    return ModelRef(name=match["name"])
