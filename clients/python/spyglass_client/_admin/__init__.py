"""Changes of the models of a server."""
