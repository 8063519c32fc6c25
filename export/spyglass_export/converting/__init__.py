"""Keras networks converted to ONNX graphs."""
