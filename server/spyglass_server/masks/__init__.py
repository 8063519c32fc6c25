"""Segment requests: from the probabilities of the network to the mask in the response."""
