"""Quality checks of heatmaps: deletion and insertion curves, and heatmaps after weight randomisation.

Needs the extra `checking`.
"""
