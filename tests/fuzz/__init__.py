"""Hostile input in quantity, for everything that takes bytes from outside."""
