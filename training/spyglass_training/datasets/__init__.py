"""The data sets that networks are trained on, each read by a file of its own."""
