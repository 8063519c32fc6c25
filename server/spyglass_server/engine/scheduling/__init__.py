"""The order in which requests run, and the threads that run them."""
