"""The results of calls, read from response messages."""
