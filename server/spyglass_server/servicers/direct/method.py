"""One method, as direct calls need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from spyglass_contract.errors import SpyglassError
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.interceptors.parsing import Parser
from spyglass_server.servicers.costs import Cost


@dataclass(frozen=True)
class Method:
    """A method whose requests become jobs of the engine. `start` starts one; see `Handlers.start`."""

    path: str
    parse: Parser
    start: Callable[[Any, Call, Done], object]
    # Raises Overloaded if a request of a call would most probably be refused.
    check: Callable[[Call], object]
    # Returns the response of a stream to a request that failed, from its error and the id of the call.
    failed: Callable[[Any, SpyglassError, str], Message]
    # Returns the name of the model in a request; empty: the default one.
    model_name: Callable[[Any], str]
    cost: Cost
    # The responses of a stream come in the order of their requests, whatever its metadata say.
    ordered: bool = False
