"""Makes keys and seals definitions."""
