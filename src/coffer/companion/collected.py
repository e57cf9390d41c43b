"""The values found so far in a file of another program, and everything that is wrong with it."""

from __future__ import annotations

from coffer.companion.reading import is_text
from coffer.errors import DefinitionError, Finding
from coffer.shard import fault_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coffer.shard import Value


class Collected:
    """Filled by a reader; ``finish()`` returns all values or raises all findings. No finding holds a value."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._values: dict[str, Value] = {}
        self._findings: list[Finding] = []

    def add(self, key: str, value: Any, line: int | None = None) -> None:
        """Take a value, or find out why it is none."""
        if key in self._values:
            self.refuse("comes twice", key=key, line=line)
        elif value is None:
            self.refuse("null is not a value", key=key, line=line, hint='write "" if it is empty on purpose')
        elif not is_text(key) or (isinstance(value, str) and not is_text(value)):
            hint = "\\ud800 to \\udfff come in pairs"
            self.refuse("half of a character (a lone surrogate)", key=key, line=line, hint=hint)
        elif fault := fault_of(key, value):
            self.refuse(fault, key=key, line=line)
        else:
            self._values[key] = value

    def refuse(
        self,
        reason: str,
        *,
        key: str | None = None,
        line: int | None = None,
        column: int = 1,
        hint: str | None = None,
    ) -> None:
        """Keep what is wrong, and with which key or line; ``column`` counts where there is a line."""
        self._findings.append(Finding(self._source, reason, key=key, line=line, column=line and column, hint=hint))

    def finish(self) -> dict[str, Value]:
        """Return all values. Raises DefinitionError with all that was found wrong."""
        if self._findings:
            raise DefinitionError.of(self._findings)
        return self._values
