"""Heatmaps: draw them over images, and the arithmetic of Score-CAM."""
