"""Execution providers: one file for each, and a registry that chooses one of them."""
