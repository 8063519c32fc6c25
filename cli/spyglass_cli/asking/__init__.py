"""Requests about images: which images, what is asked of each, and what came of it."""
