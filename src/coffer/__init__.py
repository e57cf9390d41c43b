"""coffer."""
