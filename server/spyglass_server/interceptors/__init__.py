"""What surrounds every call, outermost first: the request's id and log line, then errors to status codes.

The server puts the bound on its streams inside of these.
"""

from __future__ import annotations

import grpc

from spyglass_server.interceptors.errors import Errors
from spyglass_server.interceptors.request_log import RequestLog

# The log is outside so that it sees the code that the errors have become.
LAYERS: tuple[grpc.ServerInterceptor, ...] = (RequestLog(), Errors())
