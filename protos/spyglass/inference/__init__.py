"""Package `inference` of the Open Inference Protocol v2, generated from the .proto file beside it.

Only a process that serves the protocol may import it: a process cannot also import another client's copy of
these messages.
"""
