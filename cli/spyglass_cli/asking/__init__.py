"""The images of a command line, the requests for them, and the outcome of each."""
