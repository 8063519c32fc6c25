"""The parameters of requests and tensors that have an effect, and those that are refused.

Others have none: clients send parameters for other servers along.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from spyglass_contract.errors import InvalidInput, Unimplemented
from spyglass_contract.model.card import PREDICTED
from spyglass_server.engine.call import Call
from spyglass_server.engine.classes import class_index
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.text import quoted
from spyglass_server.open_inference.tensors import InputTensor, RequestedOutput, Value

BULK_PRIORITY = 2
"""The priority of requests that let others go first; 1 is that of others, and 0 the default."""

_MICROSECONDS = 1e6
# No lock can wait for longer. A longer timeout sets no deadline.
_ENDLESS_SECONDS = 1e8
_SHARED_MEMORY = "shared_memory_"
_CLASSIFICATION = "classification"


def call_of_request(call: Call, parameters: Mapping[str, Value]) -> Call:
    """Return the call of one request with the `timeout` and the `priority` of its parameters.

    Raises InvalidInput for other values than they may have, and Unimplemented for a sequence.
    """
    if not parameters:
        return call
    if parameters.get("sequence_id") or any(parameters.get(f"sequence_{end}") for end in ("start", "end")):
        raise Unimplemented(
            "the models keep no state between requests: send the request without sequence_id",
            reason="SEQUENCES_UNSUPPORTED",
            field="parameters.sequence_id",
        )
    timeout = _whole(parameters, "timeout", "a number of microseconds, 0 for no timeout") / _MICROSECONDS
    priority = _whole(parameters, "priority", "0 to 2", highest=BULK_PRIORITY)
    if timeout and timeout < _ENDLESS_SECONDS:
        call = call.until(time.monotonic() + timeout)
    if priority == BULK_PRIORITY:
        call.bulk = True
    return call


def check_in_message(tensor: InputTensor | RequestedOutput) -> None:
    """Raise Unimplemented if the elements of a tensor are in shared memory, or should be written there."""
    if tensor.parameters and any(key.startswith(_SHARED_MEMORY) for key in tensor.parameters):
        raise Unimplemented(
            f"the tensor {quoted(tensor.name)} is in shared memory, which the server does not read or write: "
            "send and receive its elements in the messages",
            reason="SHARED_MEMORY_UNSUPPORTED",
            field="outputs" if isinstance(tensor, RequestedOutput) else "inputs",
        )


def classification(output: RequestedOutput) -> int:
    """Return the number of classes that an output should be given as; 0: none. Raises InvalidInput."""
    if _CLASSIFICATION not in output.parameters:
        return 0
    return _whole(output.parameters, _CLASSIFICATION, "a number of classes", lowest=1)


def explained_class(parameters: Mapping[str, Value], model: Model) -> int:
    """Return the index of the class that a heatmap explains, by `class_index` or `class_name`.

    It is PREDICTED if the request has neither. Raises InvalidInput if it has both, or if the model has no
    such class.
    """
    given = [key for key in ("class_index", "class_name") if key in parameters]
    if not given:
        return PREDICTED
    if len(given) > 1:
        raise InvalidInput(
            "expected the parameter class_index or class_name, not both",
            reason="CLASS_AMBIGUOUS",
            field="parameters.class_name",
        )
    if given == ["class_index"]:
        target: int | str = _whole(parameters, "class_index", "the index of a class")
    else:
        target = parameters["class_name"] if isinstance(parameters["class_name"], str) else ""
    return class_index(target, model.class_names, "parameters.")


def _whole(
    parameters: Mapping[str, Value], key: str, expected: str, lowest: int = 0, highest: int | None = None
) -> int:
    value = parameters.get(key, 0)
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < lowest
        or (highest is not None and value > highest)
    ):
        raise InvalidInput(
            f"the parameter {key} must be {expected}, a whole number, not {quoted(str(value))}",
            reason="PARAMETER_INVALID",
            field=f"parameters.{key}",
        )
    return value
