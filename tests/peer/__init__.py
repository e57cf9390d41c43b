"""A second implementation of the coffer protocol, written from docs/protocol.md alone, on PyNaCl.

It shares no line with coffer and imports nothing of it, so whatever the two agree on comes from the page
that fixes the bytes. It is for tests: keys are plain bytes here and nothing is wiped.
"""
