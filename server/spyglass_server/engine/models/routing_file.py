"""NAME/routing.json, which keeps labels and traffic shares beside the versions of a model."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.routing import MAX_LABELS, Routing, Share
from spyglass_server.engine.models.stores.store import MAX_ROUTING_BYTES, ROUTING_FILE

_Version = Annotated[int, Field(ge=1, lt=2**63)]
_Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]*[A-Za-z_.-][A-Za-z0-9_.-]*$", max_length=63)]
_Selector = _Version | _Label


class _Share(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    source: _Selector
    target: _Selector
    percent: Annotated[float, Field(gt=0, le=100)]
    key: Literal["request", "caller"] = "request"


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    labels: Annotated[dict[_Label, _Version], Field(max_length=MAX_LABELS)] = {}
    history: Annotated[dict[_Label, list[_Version]], Field(max_length=MAX_LABELS)] = {}
    traffic: Annotated[list[_Share], Field(max_length=MAX_LABELS)] = []


def read_routing(data: bytes | None, name: str) -> Routing:
    """Return the routing of the model `name`. Raises ModelError(ROUTING_DAMAGED); None is an empty one."""
    if data is None:
        return Routing()
    if len(data) > MAX_ROUTING_BYTES:
        raise _damaged(name, f"it has more than {MAX_ROUTING_BYTES} bytes")
    try:
        content = _Content.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _damaged(name, f"{place[:100]}: {first['msg']}" if place else first["msg"]) from None
    return Routing(
        content.labels,
        {label: tuple(versions) for label, versions in content.history.items()},
        tuple(Share(share.source, share.target, share.percent, share.key) for share in content.traffic),
    )


def write_routing(routing: Routing) -> bytes:
    """Return the content of the file."""
    content = {
        "labels": dict(routing.labels),
        "history": {label: list(versions) for label, versions in routing.history.items() if versions},
        "traffic": [
            {"source": share.source, "target": share.target, "percent": share.percent, "key": share.key}
            for share in routing.shares
        ],
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def _damaged(name: str, problem: str) -> ModelError:
    return ModelError(
        f"{name}/{ROUTING_FILE} is damaged: {problem}; repair or delete it", reason="ROUTING_DAMAGED"
    )
