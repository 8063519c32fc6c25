"""First weights of a network: published checkpoints and files of earlier runs.

No reader here runs code that a file contains.
"""
