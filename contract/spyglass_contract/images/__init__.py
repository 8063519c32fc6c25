"""Images: from the bytes of a file to the network's input."""
