"""Serves sealed shards."""
