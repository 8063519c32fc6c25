"""Models by the names of the protocol: a version is a text, which may also be a label."""

from __future__ import annotations

from spyglass.v1.model_pb2 import ModelRef
from spyglass_contract.errors import InvalidInput, NotFound, SpyglassError
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.text import quoted
from spyglass_server.permitted import Permitted

# The largest version has 19 digits.
_MOST_DIGITS = 18
_FIELDS = {"model.name": "model_name", "model.version": "model_version", "model.label": "model_version"}


def model_ref(name: str, version: str) -> ModelRef:
    """Return the reference to a model by its name and a version, a label or an empty text.

    Raises InvalidInput without a name, and NotFound for a version that no model can have.
    """
    if not name:
        raise InvalidInput(
            "expected the name of a model, not an empty text", reason="MODEL_NAME_MISSING", field="model_name"
        )
    if not version:
        return ModelRef(name=name)
    if not (version.isascii() and version.isdecimal()):
        return ModelRef(name=name, label=version)
    if len(version) > _MOST_DIGITS:
        raise NotFound(
            f"{quoted(name)} has no version {quoted(version)}",
            reason="VERSION_NOT_FOUND",
            field="model_version",
        )
    return ModelRef(name=name, version=int(version))


def find_model(models: Permitted, name: str, version: str, request_id: str = "") -> Model:
    """Return the model for the request with this id. Raises NotFound, InvalidInput and PermissionDenied."""
    try:
        return models.find(model_ref(name, version), request_id)
    except SpyglassError as error:
        # The fields of this protocol have other names.
        error.field = _FIELDS.get(error.field, error.field)
        raise
