"""How findings look: one line each, ``FILE:LINE:COLUMN: error: …`` as compilers write it, and a hint under it."""

from __future__ import annotations

import sys

from coffer.companion.terminal import PROGRAM, count
from coffer.program import escape, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from coffer.errors import DefinitionError, Finding


def refuse(error: DefinitionError) -> int:
    """Show on stderr why a definition is refused; return the exit code."""
    write(error.findings, sys.stderr)
    number = count(len(error.findings), "finding")
    report(PROGRAM, f"{error.findings[0].file}: refused for {number}; nothing was changed")
    return error.exit_code


def write(findings: Iterable[Finding], stream: TextIO) -> None:
    """Write findings as lines of text."""
    for finding in findings:
        stream.write(f"{format_line(finding)}\n")
        if finding.hint:
            stream.write(f"  hint: {escape(finding.hint)}\n")


def format_line(finding: Finding) -> str:
    """Return place, weight and reason in one line."""
    place = finding.file if finding.line is None else f"{finding.file}:{finding.line}:{finding.column}"
    return escape(f"{place}: error: {describe(finding)}")


def describe(finding: Finding) -> str:
    """Return the finding without its file and line: ``[table] key: reason``."""
    if finding.table is None and finding.key is None:
        return finding.reason
    return str(finding).removeprefix(f"{finding.file}: ")
