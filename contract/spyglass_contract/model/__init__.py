"""Models: the card, the certificate, names of models and classes, and the folder of a training run."""
