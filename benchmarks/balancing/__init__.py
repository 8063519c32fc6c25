"""Servers and measurements for the benchmark of the client's balance."""
