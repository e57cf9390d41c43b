"""The version, as a plain constant: importlib.metadata would cost every program 50 ms at start-up."""

VERSION = "0.1.0"
