"""Composed images: cut-outs on backgrounds, with exact trimaps."""
