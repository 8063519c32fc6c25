"""gRPC shells around the handlers, with health and readiness."""
