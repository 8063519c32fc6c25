"""The worst image files within the limits, a module for each format: `benchmarks/hostile_images.py`."""
