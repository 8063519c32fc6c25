"""Whether heatmaps can be trusted: deletion and insertion curves, and what is left without the weights.

Needs the extra `checking`.
"""
