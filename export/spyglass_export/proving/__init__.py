"""Certificates of exported models, and the checks that a file must pass before it is written."""
