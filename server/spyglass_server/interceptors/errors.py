"""The layer that turns errors into gRPC statuses; nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames

import grpc

from spyglass_contract.errors import Cancelled
from spyglass_server.faults import public_error
from spyglass_server.interceptors.layer import Layer
from spyglass_server.interceptors.observed import current_observation
from spyglass_server.interceptors.statuses import abort_status
from spyglass_server.request_id import current_request_id


class Errors(Layer):
    """Ends a call that raised an error with the error's code and details."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        try:
            yield
        # gRPC raises this from the iterator of requests after the caller has cancelled.
        except grpc.RpcError:
            context.abort_with_status(abort_status(Cancelled("the caller cancelled"), current_request_id()))
        except Exception as error:
            request_id = current_request_id()
            public = public_error(error, request_id)
            if observation := current_observation():
                observation.reason = public.reason
            # The frames hold the request. It is not needed any more.
            clear_frames(error.__traceback__)
            context.abort_with_status(abort_status(public, request_id))
