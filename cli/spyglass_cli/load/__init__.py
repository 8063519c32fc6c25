"""A load generator: requests at a concurrency or a rate, from several processes, and what they measured."""
