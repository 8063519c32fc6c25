"""Other servers of the same model, each in an environment of its own; see `install.py`."""
