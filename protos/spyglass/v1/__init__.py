"""Package `spyglass.v1`, generated from the .proto files beside it by `protos/generate`."""
