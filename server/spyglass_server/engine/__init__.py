"""Models that run: admission, preparation of images, queues, sessions. It knows no protocol."""
