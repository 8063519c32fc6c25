"""The HTTP port: the calls of Vision and of the Open Inference Protocol for callers without gRPC."""
