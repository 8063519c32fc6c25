"""Protocol to domain and back; nothing is decided here."""
