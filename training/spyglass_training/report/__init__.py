"""Evaluation on the test part, and the drawings and the page that report it."""
