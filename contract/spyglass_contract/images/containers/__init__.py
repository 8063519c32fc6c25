"""One module a format: find the parts of a file that decoding needs, and bound them.

A decoder never sees the rest. Colour profiles, texts, thumbnails, further frames and private data are
skipped, so they can neither cost time in a decoder, nor make a sound image fail, nor print warnings.
"""
