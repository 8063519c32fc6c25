"""Heatmaps of many published architectures, exported by torch and compared with torch's autograd."""
