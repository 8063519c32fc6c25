"""Export of image models to ONNX files with heatmap, model card and certificate inside."""
