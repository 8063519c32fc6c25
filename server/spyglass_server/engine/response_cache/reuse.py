"""What a work needs so that its response can serve later requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reuse:
    """How the response to a request becomes the response to another one with the same image and options."""

    # The method, and every option of the request that changes the response: neither the image nor the model.
    options: bytes
    # Returns the bytes to keep of a response: nothing of this request alone, such as its id.
    kept: Callable[[Any], bytes]
    # Makes the response to this request from such bytes and the milliseconds that it has waited in the queue.
    restored: Callable[[bytes, float], object]
