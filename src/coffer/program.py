"""What the three programs share: how the command line is read, and what ``ending`` says of how they end.

Not here: any verb.
"""

from __future__ import annotations

import argparse
import sys

from coffer.ending import INTERRUPTED, READER_GONE, USAGE, escape, report, run
from coffer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["INTERRUPTED", "READER_GONE", "USAGE", "Parser", "escape", "report", "run"]


class Parser(argparse.ArgumentParser):
    """argparse, without abbreviated flags, and with its errors in the form of all other errors."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)

    def add_version(self) -> None:
        self.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")

    def error(self, message: str) -> NoReturn:
        program = self.prog.split()[0]
        report(program, message, f"{self.prog} --help")
        sys.exit(USAGE)
