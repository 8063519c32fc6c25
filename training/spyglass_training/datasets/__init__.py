"""The data sets that networks are trained on: reading, cutting into parts, and making new ones."""
