"""From the bytes of an image to the pixels that enter the network."""
