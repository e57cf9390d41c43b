"""The load generator and the limit: C programs, the Python that starts them (running), and their tests."""
