"""Connections that send slowly, or a part only, and hold on."""
