"""Several connections behind one transport, and which of them gets a call."""
