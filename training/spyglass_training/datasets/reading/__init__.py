"""Reading of a data set: options, decoding of images into arrays, and the cache of these arrays."""
