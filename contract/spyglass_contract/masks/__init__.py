"""Masks: place, interpolate, encode and draw them."""
