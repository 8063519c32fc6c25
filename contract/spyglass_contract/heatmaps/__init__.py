"""Heatmaps: drawn over images, and the arithmetic of Score-CAM."""
