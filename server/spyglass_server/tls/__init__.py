"""TLS of the server: its certificate, its key, and the authorities of its clients."""
