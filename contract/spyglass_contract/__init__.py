"""The code and the data types that training, export, server and clients share.

`images` turns files into the network's input, `heatmaps` and `masks` draw and encode the outputs, `model`
holds the card, the certificate and the run folder, `errors` is the one tree of errors.
"""
