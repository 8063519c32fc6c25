"""A long mixture of good, bad, cancelled and refused requests: `benchmarks/soak.py`."""
