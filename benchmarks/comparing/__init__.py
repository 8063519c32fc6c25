"""The comparison of Spyglass with other servers of the same model: `benchmarks/serving.py`."""
