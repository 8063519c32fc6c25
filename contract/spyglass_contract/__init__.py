"""What training, export, server and client must agree on to the byte.

`pixels` turns a file into the network's input, `card` is what a model file says of itself,
`certificate` proves that it still answers as it did, and `errors` is the one tree of what can go wrong.
"""
