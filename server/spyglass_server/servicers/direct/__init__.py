"""The calls of Vision that no gRPC thread waits for: a worker makes the response and sends it."""
