"""Metrics for Prometheus, and the HTTP port that shows them."""
