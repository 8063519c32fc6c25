"""A training run: from an architecture and a data set to the files of a run folder."""
