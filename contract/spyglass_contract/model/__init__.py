"""What is known of a model: card, certificate, names, and the folder of its training run."""
