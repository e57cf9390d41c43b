"""How fast coffer is: pytest-benchmark suites (test_*.py), side-by-side measurements (measure), and tools in C."""
