"""Models that change while they serve: versions are loaded, swapped and ended."""
