"""The files that tell git what to leave alone and how to treat the rest: lines more, unless they are there.

Not here: running git (``git_setup``).
"""

from __future__ import annotations

from coffer.errors import OperatorError


def add_lines(path: str, lines: str) -> None:
    """Add whole lines at the end of a file, or make it. What is there already stays as it is. Raises OperatorError."""
    try:
        with open(path, "a+", encoding="utf-8", errors="surrogateescape") as file:
            file.seek(0)
            text = file.read()
            if f"\n{lines}" not in f"\n{text}":
                file.write(lines if text.endswith("\n") or not text else f"\n{lines}")
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
