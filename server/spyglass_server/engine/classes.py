"""The classes in a request and in a response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from spyglass.v1.reply_pb2 import ClassScore
from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.class_names import find_class
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.text import quoted

DEFAULT_TOP_K = 5
"""The number of classes in a response if the request does not say it."""


def top_count(top_k: int, model: Model) -> int:
    """Return how many classes a response has; 0 means DEFAULT_TOP_K, or all if the model has fewer.

    Raises InvalidInput for more classes than the model has.
    """
    classes = len(model.class_names)
    if top_k > classes:
        raise InvalidInput(
            f"top_k is {top_k}; {model.card.name} has {classes} classes",
            reason="TOP_K_INVALID",
            field="top_k",
        )
    return top_k or min(DEFAULT_TOP_K, classes)


def best_classes(probabilities: NDArray[np.float32], names: Sequence[str], count: int) -> list[ClassScore]:
    """Return the `count` most probable classes of float32 [classes], best first, equal ones by index."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    scores = probabilities[order].tolist()
    return [
        ClassScore(index=index, name=names[index], score=score)
        for index, score in zip(order.tolist(), scores, strict=True)
    ]


def class_score(index: int, probabilities: NDArray[np.float32], names: Sequence[str]) -> ClassScore:
    """Return one class with its name and its probability."""
    return ClassScore(index=index, name=names[index], score=float(probabilities[index]))


def named_class(message: Message, oneof: str) -> int | str | None:
    """Return the class in the `oneof` of a message, by its index or its name; None if it is not set."""
    field = message.WhichOneof(oneof)
    return None if field is None else getattr(message, field)


def class_index(target: int | str, names: Sequence[str], prefix: str = "") -> int:
    """Return the index of one class. Raises InvalidInput; the error's field begins with `prefix`.

    A name that is longer than every name of the model is compared with none of them.
    """
    field = prefix + ("class_name" if isinstance(target, str) else "class_index")
    if isinstance(target, str) and len(target) > max(map(len, names)):
        raise InvalidInput(f"the model has no class {quoted(target)}", reason="CLASS_UNKNOWN", field=field)
    return find_class(target, names, field)
