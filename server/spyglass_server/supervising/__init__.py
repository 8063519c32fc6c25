"""Worker processes that share a port, and the supervisor that starts, watches and replaces them."""
