"""How findings are shown: a line each (``lint.format_lines``), its hint below; or JSON."""

from __future__ import annotations

import json
import sys

from coffer.companion.terminal import PROGRAM, say
from coffer.ending import escape, report
from coffer.lint import Advice, format_lines, lint
from coffer.program import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from coffer.definition import Definition
    from coffer.errors import DefinitionError, Finding

SCHEMA = 1


def refuse(error: DefinitionError, *, writes: bool) -> int:
    """Show on stderr why a definition is refused; return the exit code. Only who writes has to say that it did not."""
    write_text(error.findings, sys.stderr)
    number = counted(len(error.findings), "finding")
    report(PROGRAM, f"{error.findings[0].file}: refused for {number}{'; nothing was changed' if writes else ''}")
    return error.exit_code


def mention_advice(checked: Definition, text: str, path: str) -> None:
    """Say in one line, if so, that ``check`` has advice on what was sealed."""
    number = len(lint(checked, text, path))
    if number:
        say(f"{counted(number, 'warning')}; to see {'it' if number == 1 else 'them'}: coffer-companion check {path}")


def write_text(findings: Iterable[Finding], stream: TextIO) -> None:
    """Write each finding as a line, and its hint, if there is one, as another."""
    for finding in findings:
        stream.writelines(f"{escape(line)}\n" for line in format_lines(finding))


def write_json(findings: Iterable[Finding], stream: TextIO) -> None:
    """Write all findings as one JSON object."""
    entries = [
        {
            "severity": _severity(finding),
            "rule": _rule(finding),
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "table": finding.table,
            "key": finding.key,
            "message": finding.reason,
            "hint": finding.hint,
        }
        for finding in findings
    ]
    json.dump({"schema": SCHEMA, "findings": entries}, stream, indent=2)
    stream.write("\n")


def _severity(finding: Finding) -> str:
    return "warning" if isinstance(finding, Advice) else "error"


def _rule(finding: Finding) -> str:
    return finding.rule if isinstance(finding, Advice) else "definition"
