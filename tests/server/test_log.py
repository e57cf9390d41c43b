"""Lines on stderr: whole, and never at the price of the server."""

from __future__ import annotations

import os
import subprocess
import sys

MANY = """
from coffer.server.log import Log
log = Log()
for _ in range(5_000):
    log.say("x" * 100)
"""


def test_a_log_that_nobody_reads_stops_nobody() -> None:
    reader, writer = os.pipe()
    try:
        assert subprocess.run([sys.executable, "-c", MANY], stderr=writer, timeout=30).returncode == 0
        lines = os.read(reader, 1 << 20).splitlines(keepends=True)
        assert len(lines) > 100 and set(lines) == {b"coffer-server: " + b"x" * 100 + b"\n"}
    finally:
        os.close(reader)
        os.close(writer)


def test_a_log_that_is_closed_stops_nobody() -> None:
    assert subprocess.run(["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, MANY], timeout=30).returncode == 0
