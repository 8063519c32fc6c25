"""One method of Vision, as direct calls need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from spyglass.v1.vision_pb2 import DESCRIPTOR
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.interceptors.parsing import Parser

_VISION = DESCRIPTOR.services_by_name["Vision"]


@dataclass(frozen=True)
class Method:
    """A method whose requests become jobs of the engine. `start` starts one; see `Handlers.start`."""

    path: str
    parse: Parser
    response: type[Message]
    start: Callable[[Any, Call, Done], object]
    # Raises Overloaded if a request of a call would most probably be refused.
    check: Callable[[Call], object]


def method(
    name: str,
    request: Any,
    response: type[Message],
    start: Callable[[Any, Call, Done], object],
    check: Callable[[Call], object],
) -> Method:
    """Return the method `name`, such as Classify, whose requests are messages of the class `request`."""
    return Method(f"/{_VISION.full_name}/{name}", Parser(request.FromString), response, start, check)
