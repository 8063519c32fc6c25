"""Load beyond what a server can do, and callers beside each other: `overload.py` and `fairness.py`."""
