"""ONNX classifiers from elsewhere made into model files of Spyglass."""
