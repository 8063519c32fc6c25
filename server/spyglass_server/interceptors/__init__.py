"""Layers around every gRPC call; `spyglass_server.server` lists them in order."""
