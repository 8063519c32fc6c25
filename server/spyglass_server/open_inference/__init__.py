"""The Open Inference Protocol v2 without a transport: tensors in, tensors out."""
