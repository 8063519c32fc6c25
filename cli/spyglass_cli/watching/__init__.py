"""What a server's metrics say about the last seconds: read, compared and computed."""
