"""Model files before a runtime opens them: structure, operators, external data, limits and signatures."""
