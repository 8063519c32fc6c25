"""Bounds that hold for every response."""

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""Bytes of the maps, or of mask and probability map, in one response.

They are held in memory until they are sent, for every request at the same time: a gigabyte for the 64
requests of a small server.
"""
