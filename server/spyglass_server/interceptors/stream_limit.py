"""The layer that bounds the number of open streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from spyglass_server.engine.admission import Admission
from spyglass_server.engine.call import Call
from spyglass_server.interceptors.layer import Layer

if TYPE_CHECKING:
    from spyglass_server.interceptors.layer import Handler


class StreamLimit(Layer):
    """Gives a permit to each call whose requests are a stream, those of reflection included.

    Such a call holds a thread for as long as its caller keeps it open: without a bound, idle streams would
    take every thread that other calls need.
    """

    def __init__(self, streams: Admission) -> None:
        self._streams = streams

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        with self._streams.permit(Call()):
            yield

    def _wrap(self, handler: Handler, method: str) -> Handler:
        return super()._wrap(handler, method) if handler.request_streaming else handler
