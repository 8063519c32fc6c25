"""Heatmap requests: what the network computes, what Score-CAM adds, and how maps are drawn."""
