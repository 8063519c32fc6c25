"""`/v2`: the Open Inference Protocol over HTTP. It becomes the messages of the same protocol over gRPC."""
