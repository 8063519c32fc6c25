"""Calls that each send an image that was never sent before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from measuring.targets import CallFailed, own_channel

MARK = b"8 bytes, which the target replaces by chance."
"""What an image must end with: a decoder ignores what follows the end of a file."""

_CHANGED_BYTES = 8
_TIMEOUT = 30.0


@dataclass(frozen=True)
class NewImageTarget:
    """A gRPC method whose requests differ in the last bytes of their image, see `Target`.

    `payload` is a request whose image ends with MARK.
    """

    address: str
    method: str
    payload: bytes

    @contextmanager
    def connect(self, callers: int) -> Iterator[list[Callable[[], bytes]]]:
        """See `Target`. A call raises CallFailed."""
        before, found, after = self.payload.partition(MARK)
        if not found:
            raise ValueError("the image of the request must end with MARK")
        after = MARK[_CHANGED_BYTES:] + after
        with own_channel(self.address) as channel:
            method = channel.unary_unary(self.method)

            def call() -> bytes:
                try:
                    payload = b"".join((before, os.urandom(_CHANGED_BYTES), after))
                    return bytes(method(payload, timeout=_TIMEOUT))
                except grpc.RpcError as error:
                    raise CallFailed(error.code().name) from None  # type: ignore[attr-defined]

            yield [call] * callers
