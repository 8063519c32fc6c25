"""Search for the tensor, or the tensors, that a heatmap explains."""
