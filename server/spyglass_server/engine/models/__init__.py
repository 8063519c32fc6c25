"""Models: files, sessions, and the repository that finds them."""
