"""Where models lie: folders, and whatever else holds NAME/VERSION/model.onnx."""
