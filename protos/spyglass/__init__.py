"""The wire contract of Spyglass; `spyglass.v1` holds the generated messages and stubs."""
