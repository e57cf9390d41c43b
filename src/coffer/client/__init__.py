"""Fetches a shard and hands it to a program, a file, a shell or Python code."""
