"""Exceptions to status codes, in the one place where that happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from spyglass_contract.errors import Cancelled
from spyglass_server.interceptors.layer import Layer
from spyglass_server.interceptors.request_id import current_request_id
from spyglass_server.interceptors.statuses import to_abort


class Errors(Layer):
    """Ends a call that raised with the code and the details of its error."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        try:
            yield
        # What gRPC raises to whoever waits for a request of a caller that is gone.
        except grpc.RpcError:
            context.abort_with_status(to_abort(Cancelled("the caller went away"), current_request_id()))
        except Exception as error:
            context.abort_with_status(to_abort(error, current_request_id()))
