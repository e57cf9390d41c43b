"""Measurements side by side in one run: ``python -m benchmarks.measure`` prints ratios and writes RESULTS.md."""
