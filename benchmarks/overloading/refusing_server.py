"""A grpcio server that refuses every call and does nothing else: the least that a refusal costs in Python.

python benchmarks/overloading/refusing_server.py PORT
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

_THREADS = 16


class Refuse(grpc.GenericRpcHandler):
    """Refuses the calls of every method; requests are not even parsed."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return the handler of any method."""
        return grpc.unary_unary_rpc_method_handler(_refuse)


def _refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "refused")
    raise AssertionError("abort raises")


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers((Refuse(),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
