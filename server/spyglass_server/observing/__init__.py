"""What sees requests at their end; `spyglass_server.server` lists the observers in order."""
