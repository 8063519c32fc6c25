"""Responses that are kept, so that an image which was sent before runs no network; off by default."""
