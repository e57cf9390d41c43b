"""Everything coffer raises on purpose, and the exit code each kind ends a program with.

Not here: what a peer did wrong in a session, which is data (``session.fault``) until a program gives up
because of it, and our own mistakes, which stay ValueError and TypeError and crash.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class CofferError(Exception):
    """The root. ``str()`` is one line that says what and where; ``hint`` says what to do next, or is None."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class PeerError(CofferError):
    """The other end sent something that coffer's protocol does not allow."""

    exit_code = 76


class FrameError(PeerError):
    """A frame of a length or type that does not exist, or a stream that ends inside a frame."""


class CutError(FrameError):
    """A stream that ends, or falls silent, after the server had proved itself: another attempt may do better."""


class OrderError(PeerError):
    """A frame that exists, but may not come now."""


class OpenError(PeerError):
    """A box that does not open. Every reason has the same words: nobody learns anything by probing."""


class OperatorError(CofferError):
    """Something the person who runs the program can mend: ``file: [table] key: what is wrong``.

    ``exit_code`` is given where another process met the error: it ends this one with the same code.
    """

    exit_code = 78

    def __init__(self, message: str, hint: str | None = None, *, exit_code: int | None = None) -> None:
        super().__init__(message, hint)
        if exit_code is not None:
            self.exit_code = exit_code


class SettingsError(OperatorError):
    """A flag, an environment variable or a settings file that cannot be used."""


class KeyFileError(OperatorError):
    """A key file that is refused, or cannot be read or written."""


class IdError(OperatorError):
    """A text that is not the id of a usable public key."""


class Finding:
    """One thing that is wrong in a definition. ``str()`` is the house form of it; no part ever holds a value.

    ``table`` and ``key`` are None where none is at fault, ``line`` and ``column`` (from 1) where none is known;
    a line stands in the text only in place of table and key.
    """

    __slots__ = ("column", "file", "hint", "key", "line", "reason", "table")

    def __init__(
        self,
        file: str,
        reason: str,
        *,
        table: str | None = None,
        key: str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.file = file
        self.reason = reason
        self.table = table
        self.key = key
        self.line = line
        self.column = column
        self.hint = hint

    @property
    def path(self) -> tuple[str, ...]:
        """What it is about, as ``places`` takes it: table and key, one of them, or nothing for the whole file."""
        return tuple(name for name in (self.table, self.key) if name is not None)

    def __str__(self) -> str:
        table = "" if self.table is None else f"[{_quote(self.table)}]"
        key = "" if self.key is None else _quote(self.key)
        spot = f"line {self.line}, column {self.column}" if self.line and not table + key else ""
        place = " ".join(part for part in (table, key, spot) if part)
        return f"{self.file}: {place}: {self.reason}" if place else f"{self.file}: {self.reason}"


class DefinitionError(OperatorError):
    """A definition that is refused as a whole; ``findings`` is everything that is wrong with it, in its order."""

    exit_code = 3

    def __init__(self, message: str, hint: str | None = None, *, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message, hint)
        self.findings = findings

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> DefinitionError:
        """Return the error that says the first finding, with its hint, and how many more there are."""
        first, others = findings[0], len(findings) - 1
        more = f" (and {others:,} more finding{'s' if others > 1 else ''})" if others else ""
        return cls(f"{first}{more}", first.hint, findings=tuple(findings))


class EnvelopeError(OperatorError):
    """A sealed definition that is refused as a whole."""

    exit_code = 3


class MissingNameError(OperatorError):
    """No value, client or table of that name."""

    exit_code = 1


class FetchError(CofferError):
    """A shard that did not arrive."""

    exit_code = 69


class UnreachableError(FetchError):
    """No connection came about."""


class NoAnswerError(FetchError):
    """A connection came about, and ended before anything authentic was said on it."""


class RefusedError(FetchError):
    """The server authentically said no: KeyNotFound, or Error with its text in ``reason``."""

    exit_code = 77

    def __init__(self, message: str, hint: str | None = None, *, reason: str | None = None) -> None:
        super().__init__(message, hint)
        self.reason = reason


def _quote(name: str) -> str:
    """Show a table or key as it is where TOML takes it bare, else quoted and escaped, and never at length."""
    if name.isascii() and name.replace("-", "a").replace("_", "a").isalnum() and len(name) <= 80:
        return name
    return repr(name) if len(name) <= 80 else f"{name[:80]!r}..."
