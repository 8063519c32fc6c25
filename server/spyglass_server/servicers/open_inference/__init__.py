"""The Open Inference Protocol v2 over gRPC. Only what builds a gRPC server imports this package."""
