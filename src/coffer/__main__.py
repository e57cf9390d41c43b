"""``python -m coffer server|client|companion``: the programs, where their scripts are not on the path."""

import sys
from importlib import import_module

PROGRAMS = ("server", "client", "companion")

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        sys.exit(f"usage: python -m coffer {'|'.join(PROGRAMS)} ...")
    sys.exit(import_module(f"coffer.{sys.argv.pop(1)}.cli").main())
