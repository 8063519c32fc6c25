"""Traces of requests, sent to an OTLP collector; imported only if the server traces: it needs an extra."""
