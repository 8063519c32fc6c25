"""Data sets, Keras networks and training runs."""
