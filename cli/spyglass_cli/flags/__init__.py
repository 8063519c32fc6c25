"""Flags and the types of their values."""
