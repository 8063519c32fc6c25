"""Masks: placed, interpolated, encoded and drawn."""
